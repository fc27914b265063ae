"""What there is of a machine: folders, keys, memory, limits, container engines and models, each as it is found."""

import fcntl
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import psutil

from gridlight.adapters.blobs import file_sha256
from gridlight.adapters.signatures import SigningKey
from gridlight.core.checkup import EngineSeen, FolderSeen, KeySeen, MachineSeen

CGROUPS: Final = Path("/sys/fs/cgroup")
_BOUNDS: Final = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""What a group may use and does use, in the second version of cgroups and in the first."""

ENGINES: Final = ("podman", "docker")
_ENGINE_TIMEOUT_S: Final = 10.0
_WORDS_MAX: Final = 200


def see_folder(path: Path) -> FolderSeen:
    """Write to it and take it away again; where it is not there, to the folder that it would be made in."""
    there = next((one for one in (path, *path.absolute().parents) if os.path.lexists(one)), Path("/"))
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".gridlight."):
            pass
    except OSError as error:
        return FolderSeen(path=str(path), error=error.strerror or str(error), free_bytes=0)
    return FolderSeen(path=str(path), error=None, free_bytes=shutil.disk_usage(there).free)


def is_held(lock: Path) -> bool:
    """Whether a process holds this lock, as an agent does while it runs."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def see_key(path: Path) -> KeySeen:
    """A key's file, and whether it holds one."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return KeySeen(path=str(path), mode=None, error=None)
    try:
        SigningKey.from_seed(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        return KeySeen(path=str(path), mode=mode, error=str(error))
    return KeySeen(path=str(path), mode=mode, error=None)


def see_machine(cgroups: Path = CGROUPS, own_cgroups: str | None = None) -> MachineSeen:
    """What is left to this process, by the kernel's own word; `own_cgroups` in the form of /proc/self/cgroup."""
    memory = psutil.virtual_memory().available
    own = _text(Path("/proc/self/cgroup")) if own_cgroups is None else own_cgroups
    left = min((left for group in _memory_groups(own, cgroups) if (left := _left_in(group)) is not None), default=None)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    spaces = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    return MachineSeen(
        memory_bytes=memory if left is None else min(memory, left),
        address_space_bytes=min(spaces, default=None),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        has_memory_controller="memory" in _text(cgroups / "cgroup.controllers").split()
        or (cgroups / "memory" / _BOUNDS[1][0]).exists(),
    )


def see_engine(names: Iterable[str] = ENGINES) -> EngineSeen:
    """The first container engine on PATH, asked how it is."""
    for name in names:
        command = shutil.which(name)
        if command is None:
            continue
        try:
            subprocess.run(  # noqa: S603  (found on the operator's own PATH, no shell)
                [command, "info"], capture_output=True, text=True, timeout=_ENGINE_TIMEOUT_S, check=True
            )
        except subprocess.CalledProcessError as error:
            return EngineSeen(name, " ".join((error.stderr or error.stdout).split())[-_WORDS_MAX:] or str(error))
        except (OSError, subprocess.TimeoutExpired) as error:
            return EngineSeen(name, str(error)[:_WORDS_MAX])
        return EngineSeen(name)
    return EngineSeen(None)


def damaged_models(folder: Path, digests: Iterable[str]) -> tuple[str, ...]:
    """Those of these models that are in the cache and are not what they are called."""
    there = [digest for digest in digests if (folder / digest).is_file()]
    return tuple(digest for digest in there if not _is_sound(folder / digest, digest))


def _is_sound(path: Path, digest: str) -> bool:
    try:
        return file_sha256(path) == digest
    except OSError:
        return False


def _memory_groups(own_cgroups: str, root: Path) -> Iterator[Path]:
    """The groups of processes that this one is in, and those around them, as far as they count memory."""
    for line in own_cgroups.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            top = root if number == "0" else root / "memory"
            group = top / path.removeprefix("/")
            yield from (one for one in (group, *group.parents) if one.is_relative_to(top))


def _left_in(group: Path) -> int | None:
    """What a group leaves, None where it is not bounded."""
    for most_file, used_file in _BOUNDS:
        most, used = _text(group / most_file).strip(), _text(group / used_file).strip()
        if most.isdigit() and used.isdigit():
            return max(0, int(most) - int(used) + _reclaimable(group))
    return None


def _reclaimable(group: Path) -> int:
    """Of files that were read once: the kernel gives it up before anything else."""
    lines = (line.split() for line in _text(group / "memory.stat").splitlines())
    return next((int(words[1]) for words in lines if words[0] == "inactive_file"), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
