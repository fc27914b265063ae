"""A machine in a cut-off network: a namespace whose only neighbour is this machine, at one address."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class CutOff:
    """Reaches `neighbour` and nothing else; it has no names and no route further.

    Without a namespace it is this very machine, and reaches what it is told of.
    """

    def __init__(self, name: str | None, neighbour: str) -> None:
        self.neighbour = neighbour
        self.is_apart = name is not None
        self._name = name

    def command(self, *words: str | Path) -> list[str]:
        """To run there; the process that it becomes is the command's own."""
        if self._name is None:
            return [str(word) for word in words]
        assert IP is not None
        return [IP, "netns", "exec", self._name, *map(str, words)]


@contextmanager
def cut_off() -> Iterator[CutOff]:
    """In a namespace of its own, where this user may make one."""
    number = os.getpid() % 50_000
    name, here, there = f"gridlight{number}", f"gl{number}a", f"gl{number}b"
    prefix = f"10.213.{number % 250}"
    if not _ip("netns", "add", name):
        print(
            "!!! nobody but root may make a network namespace: the node is NOT cut off, it is only told of no other way"
        )
        yield CutOff(None, "127.0.0.1")
        return
    try:
        steps = [
            ("link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
            ("addr", "add", f"{prefix}.1/30", "dev", here),
            ("link", "set", here, "up"),
            ("-n", name, "addr", "add", f"{prefix}.2/30", "dev", there),
            ("-n", name, "link", "set", there, "up"),
            ("-n", name, "link", "set", "lo", "up"),
        ]
        is_made = all(_ip(*step) for step in steps)
        yield CutOff(name, f"{prefix}.1") if is_made else CutOff(None, "127.0.0.1")
    finally:
        _ip("netns", "delete", name)  # and with it both ends of the line


def _ip(*words: str) -> bool:
    if IP is None or os.getuid() != 0:
        return False
    return subprocess.run([IP, *words], capture_output=True, check=False).returncode == 0
