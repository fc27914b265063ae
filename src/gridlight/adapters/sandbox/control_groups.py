"""Control groups that the agent makes by itself, for a backend whose tool makes none: memory, processes, processors.

Of version 1, where this process may make groups below its own. Elsewhere there are none, and the backend says so.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from gridlight.adapters.sandbox.port import MIB, Limits

GUARANTEES: Final = frozenset({"memory", "cpu", "processes"})

_CONTROLLERS: Final = ("memory", "pids", "cpu")
_PERIOD_US: Final = 100_000
_PROCESSES_MORE: Final = 8
"""What the backend itself needs inside of the group, and the worker's first process."""
_REMOVE_TRIES_MAX: Final = 100
_REMOVE_PAUSE_S: Final = 0.01


class ControlGroup:
    """One worker's group, in each controller's tree."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @property
    def members(self) -> list[Path]:
        """Where whoever wants to belong to it writes its process id."""
        return [folder / "cgroup.procs" for folder in self._folders.values()]

    def bound(self, limits: Limits) -> None:
        """Put up the limits. OSError where the kernel doesn't take one."""
        memory = self._folders["memory"]
        memory_bytes = str(limits.memory_mib * MIB)
        (memory / "memory.limit_in_bytes").write_text(memory_bytes, encoding="ascii")
        with suppress(OSError):  # a machine without swap has no account of it
            (memory / "memory.memsw.limit_in_bytes").write_text(memory_bytes, encoding="ascii")
        (self._folders["pids"] / "pids.max").write_text(str(limits.processes + _PROCESSES_MORE), encoding="ascii")
        quota = self._folders["cpu"] / "cpu.cfs_quota_us"
        quota.write_text(str(round(limits.cpus * _PERIOD_US)), encoding="ascii")

    def was_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of it for want of memory."""
        with suppress(OSError):
            said = (self._folders["memory"] / "memory.oom_control").read_text(encoding="ascii").split()
            return "oom_kill" in said and said[said.index("oom_kill") + 1] != "0"
        return False

    async def remove(self) -> None:
        """End what is left in it, and take it away."""
        for folder in self._folders.values():
            for _ in range(_REMOVE_TRIES_MAX):
                if _is_removed(folder):
                    break
                await asyncio.sleep(_REMOVE_PAUSE_S)


def make(name: str, limits: Limits) -> ControlGroup | None:
    """A group of this name below this process's own; None where it may not."""
    trees = _trees()
    if set(trees) != set(_CONTROLLERS):
        return None
    folders = {controller: tree / name for controller, tree in trees.items()}
    group = ControlGroup(folders)
    try:
        for folder in folders.values():
            folder.mkdir()
        group.bound(limits)
    except OSError:
        for folder in folders.values():
            _is_removed(folder)
        return None
    return group


def sweep(prefix: str) -> None:
    """Remove groups of an earlier life, and whatever still runs in them."""
    for tree in _trees().values():
        for folder in tree.glob(f"{prefix}*"):
            _is_removed(folder)


def _is_removed(folder: Path) -> bool:
    with suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _trees() -> dict[str, Path]:
    """This process's own group in the tree of each controller that there is."""
    found: dict[str, Path] = {}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in set(controllers.split(",")) & set(_CONTROLLERS):
                tree = Path("/sys/fs/cgroup") / controller / path.lstrip("/")
                if (tree / "cgroup.procs").exists():
                    found[controller] = tree
    return found
