"""What the node itself takes up: memory of its processes, and disk of its folder and of the cache."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import psutil

WORKER_BYTES_EXPECTED: Final = 160 * 1024 * 1024
"""Until one has been seen; ours have been smaller."""


def memory_bytes(root: Path) -> int:
    """Of the machine."""
    try:
        for line in (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return psutil.virtual_memory().total


class Resident:
    """The agent's own memory, and the most that one of its workers was seen to have."""

    def __init__(self) -> None:
        self._agent = psutil.Process()
        self._workers: dict[int, psutil.Process] = {}
        """Those of the last look: to find one costs more than to ask it."""
        self.worker_bytes = 0

    def look(self, workers: Iterable[int]) -> tuple[int, int]:
        """Of the agent, and of one worker."""
        known, self._workers = self._workers, {}
        for pid in workers:
            try:
                worker = self._workers[pid] = known.get(pid) or psutil.Process(pid)
                self.worker_bytes = max(self.worker_bytes, worker.memory_info().rss)
            except psutil.Error:
                continue  # it ended meanwhile
        return self._agent.memory_info().rss, self.worker_bytes or WORKER_BYTES_EXPECTED


def disk_bytes(folders: Sequence[Path]) -> tuple[int, int]:
    """What these folders take up together, and what is free where the first one is. Walks them: a cache has thousands
    of files.
    """
    used, waiting = 0, [os.fspath(folder) for folder in folders]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        used += _taken_bytes(entry)
        except OSError:
            continue  # it was removed meanwhile
    return used, shutil.disk_usage(folders[0]).free


def _taken_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0  # it was removed meanwhile
