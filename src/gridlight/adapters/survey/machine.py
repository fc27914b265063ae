"""What there is of a machine: folders, keys, memory, limits, container engines and models, each as it is found."""

import fcntl
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from gridlight.adapters.blobs import file_sha256
from gridlight.adapters.signatures import SigningKey
from gridlight.core.checkup import EngineSeen, FolderSeen, KeySeen, MachineSeen

CGROUPS: Final = Path("/sys/fs/cgroup")
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


def see_machine(cgroups: Path = CGROUPS, own_cgroup: Path | None = None) -> MachineSeen:
    """What is left to this process, by the kernel's own word."""
    memory = psutil.virtual_memory().available
    left = _left_in(_own_cgroup(cgroups) if own_cgroup is None else own_cgroup, cgroups)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    spaces = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    return MachineSeen(
        memory_bytes=memory if left is None else min(memory, left),
        address_space_bytes=min(spaces, default=None),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        has_memory_controller="memory" in _text(cgroups / "cgroup.controllers").split(),
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


def _own_cgroup(cgroups: Path) -> Path:
    """Version 2 has one line, `0::/path`."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            return cgroups / line.removeprefix("0::/")
    return cgroups


def _left_in(cgroup: Path, root: Path) -> int | None:
    """What the tightest group around this process leaves, None where none is bounded."""
    left = []
    for one in (cgroup, *cgroup.parents):
        most, used = _text(one / "memory.max").strip(), _text(one / "memory.current").strip()
        if most.isdigit() and used.isdigit():
            left.append(max(0, int(most) - int(used) + _reclaimable(one)))
        if one == root:
            break
    return min(left, default=None)


def _reclaimable(cgroup: Path) -> int:
    """Of files that were read once: the kernel gives it up before anything else."""
    lines = (line.split() for line in _text(cgroup / "memory.stat").splitlines())
    return next((int(words[1]) for words in lines if words[0] == "inactive_file"), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
