"""Workers in namespaces of their own by bubblewrap: nothing of the machine's but what they need, read-only.

It needs no daemon and no image. Memory, processes and processors are bounded where the agent may make control groups.
"""

import secrets
import shutil
from pathlib import Path
from typing import Final

from gridlight.adapters.sandbox import control_groups
from gridlight.adapters.sandbox.port import ENVIRONMENT, MIB, EngineUnavailable, Limits, WorkerSpec
from gridlight.adapters.sandbox.runtime import command, first_party_files
from gridlight.adapters.sandbox.seccomp import program
from gridlight.adapters.sandbox.spawning import FILTER_DESCRIPTOR, spawn
from gridlight.adapters.sandbox.worker_process import WorkerProcess

NOBODY: Final = "65534"
ARTIFACTS: Final = Path("/artifacts")
"""Where an image finds its files."""

TEMPORARY: Final = "/tmp"  # noqa: S108  (a worker's own, in memory)
"""Where a worker may write."""

_MEMORY_FOR_ITSELF_KIB: Final = 64 * 1024

_BEGIN: Final = """
ulimit -c 0; ulimit -n "$1"
[ "$2" = - ] || ulimit -v "$2"
[ "$3" = - ] || ulimit -t "$3"
shift 3
while [ "$1" != -- ]; do echo $$ > "$1" || exit 126; shift; done
shift
exec "$@"
"""
"""Bounds itself, joins the control groups, and becomes bubblewrap; so that nothing is ever started outside of them."""

_MADE: Final = {"proc", "dev", "tmp", "sys"}
"""Of a root, what is not taken from an image."""

# Kernel settings are files of root's, which a worker of an agent that is root could write.
_SHUT: Final = ("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/")

_TRIAL: Final = Limits(memory_mib=64)

_WALLS: Final = frozenset({"network", "files", "others", "storage", "privileges", "system_calls", "environment"})


class Bubblewrap:
    """The backend for machines without a container engine."""

    name: Final = "bubblewrap"

    def __init__(self, executable: str, prefix: str, *, has_groups: bool) -> None:
        self._executable = executable
        self._prefix = prefix
        self.walls = _WALLS | control_groups.GUARANTEES if has_groups else _WALLS

    @classmethod
    async def opened(cls, owner: str, _folder: Path) -> "Bubblewrap":
        """Ready to start workers, with what an earlier life of this owner left behind removed. EngineUnavailable."""
        executable = shutil.which("bwrap")
        if executable is None:
            raise EngineUnavailable("there is no bubblewrap: apt-get install bubblewrap")
        program()
        first_party_files()
        prefix = f"gridlight-{owner[-12:]}-"
        control_groups.sweep(prefix)
        trial = control_groups.make(f"{prefix}trial", _TRIAL)
        if trial is not None:
            await trial.remove()
        return cls(executable, prefix, has_groups=trial is not None)

    async def start(self, spec: WorkerSpec, *, ready_timeout_s: float) -> WorkerProcess:
        """In a root of its own. WorkerCrashed or WorkerTimeout where it does not come up."""
        group = control_groups.make(f"{self._prefix}{secrets.token_hex(4)}", spec.limits)

        async def clear_away() -> str:
            if group is None:
                return ""
            was_out_of_memory = group.was_out_of_memory()
            await group.remove()
            return f"it took more than {spec.limits.memory_mib} MiB of memory" if was_out_of_memory else ""

        try:
            worker = spawn(self._command(spec, group), ENVIRONMENT, filter_program=program(), clear_away=clear_away)
        except BaseException:
            await clear_away()
            raise
        await worker.until_ready(ready_timeout_s)
        return worker

    async def close(self) -> None:
        """Nothing is left of a worker that was killed."""

    def _command(self, spec: WorkerSpec, group: control_groups.ControlGroup | None) -> list[str]:
        limits = spec.limits
        # Without a control group the address space is bounded instead: of each process by itself.
        address_kib = "-" if group is not None else str(limits.memory_mib * 1024 + _MEMORY_FOR_ITSELF_KIB)
        bounds = [str(limits.files), address_kib, "-" if limits.cpu_s is None else str(limits.cpu_s)]
        members = [] if group is None else [str(path) for path in group.members]
        begin = ["/bin/sh", "-c", _BEGIN, "sh", *bounds, *members, "--"]
        return [*begin, self._executable, *_walls(), *_scratch(spec), *_root(spec), *_SHUT, *_inside(spec)]


def _walls() -> list[str]:
    """New namespaces of every kind, no right, no terminal, no variable; and it ends with its parent."""
    return [
        *("--unshare-all", "--unshare-user", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "worker"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)),
        *("--seccomp", str(FILTER_DESCRIPTOR)),
    ]


def _root(spec: WorkerSpec) -> list[str]:
    """What is seen of files, all of it read-only; the root itself is empty and made for this worker."""
    if spec.image is None:
        return _bound({path: path for path in (*first_party_files(), *spec.read_only)})
    image = Path(spec.image)
    if not image.is_absolute() or not image.is_dir():
        raise EngineUnavailable(f"{image} is no folder with an unpacked root, which bubblewrap needs")
    words: list[str] = []
    for entry in sorted(image.iterdir()):
        if entry.is_symlink():
            words += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
        elif entry.name not in _MADE:
            words += _bound({entry: Path("/") / entry.name})
    return words + _bound({path: ARTIFACTS / path.name for path in spec.read_only})


def _bound(paths: dict[Path, Path]) -> list[str]:
    return [word for ours, theirs in paths.items() for word in ("--ro-bind", str(ours), str(theirs))]


def _scratch(spec: WorkerSpec) -> list[str]:
    """What may be written, in memory and bounded. It comes first: files that a worker needs may lie below `/tmp`."""
    half_bytes = str(spec.limits.temporary_mib * MIB // 2)
    return [
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", half_bytes, "--tmpfs", TEMPORARY, "--size", half_bytes, "--tmpfs", "/dev/shm"),  # noqa: S108
    ]


def _inside(spec: WorkerSpec) -> list[str]:
    return ["--", *(command(spec.arguments) if spec.image is None else spec.arguments)]
