"""A child gets its ends under their numbers, whatever numbers they have with us."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gridlight.adapters.sandbox.spawning import end_of, start_child

SCRIPT = "echo printed; echo framed >&3; cat <&4 >&3; read -r given || echo nothing to read >&3"
"""Says by which of its descriptors it came out."""


@contextmanager
def numbered(path: Path, flags: int, number: int) -> Iterator[int]:
    """The file open under exactly this number; whoever had it gets it back."""
    try:
        kept = os.dup(number)
    except OSError:
        kept = None
    opened = os.open(path, flags)
    os.dup2(opened, number, inheritable=False)
    os.close(opened)
    try:
        yield number
    finally:
        os.close(number)
        if kept is not None:
            os.dup2(kept, number, inheritable=False)
            os.close(kept)


async def run(folder: Path, numbers: tuple[int, int, int]) -> tuple[str, str]:
    """What came out as printed and as framed, where ours have these numbers."""
    printed, framed, filtering = folder / "printed", folder / "framed", folder / "filter"
    printed.touch()
    framed.touch()
    filtering.write_text("filtered\n", encoding="ascii")
    with ExitStack() as stack:
        given = {
            stack.enter_context(numbered(printed, os.O_WRONLY | os.O_APPEND, numbers[0])): (1, 2),
            stack.enter_context(numbered(framed, os.O_WRONLY | os.O_APPEND, numbers[1])): (3,),
            stack.enter_context(numbered(filtering, os.O_RDONLY, numbers[2])): (4,),
        }
        pid = start_child("/bin/sh", ["sh", "-c", SCRIPT], {"PATH": "/usr/bin:/bin"}, given)
    assert await end_of(pid, timeout_s=20) == 0
    return printed.read_text(encoding="ascii"), framed.read_text(encoding="ascii")


@pytest.mark.parametrize("numbers", [*itertools.permutations((40, 41, 42)), (4, 3, 1), (3, 4, 0), (900, 40, 7)])
async def test_ours_may_have_any_numbers(tmp_path: Path, numbers: tuple[int, int, int]) -> None:
    assert await run(tmp_path, numbers) == ("printed\n", "framed\nfiltered\nnothing to read\n")
