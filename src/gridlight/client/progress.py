"""Shows how far a long command is: a moving bar on a terminal, plain lines where output goes to a file or a pipe."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

LINES_PER_STAGE = 4
"""How often a stage is heard of in plain lines."""

ProgressListener = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much there is."""


class StageProgress:
    """Called with a stage's name, how much of it is done and how much there is. Writes to stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._lines_printed = 0
        self._task: TaskID | None = None
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Stages come one after the other; a new name ends the one before."""
        is_new = stage != self._stage
        if is_new:
            self._stage, self._lines_printed = stage, 0
            self._task = self._bars.add_task(stage, total=total)
        assert self._task is not None
        self._bars.update(self._task, completed=done, total=total)
        if not self._console.is_terminal:
            self._print_line(done, total)

    def say(self, message: str) -> None:
        """A line of its own, of work whose length nobody knows."""
        self._console.print(message, highlight=False)

    def _print_line(self, done: int, total: int) -> None:
        due = LINES_PER_STAGE * done // total if total else LINES_PER_STAGE
        if self._lines_printed and due < self._lines_printed:
            return
        self._lines_printed = due + 1
        self._console.print(f"{self._stage}: {done} of {total}", highlight=False)
