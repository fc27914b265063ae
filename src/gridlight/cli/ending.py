"""How a command ends where it cannot do what it was asked: one line on stderr, and what to do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from gridlight.client.errors import GridlightError

USAGE_ERROR = 2
EXPECTED_ERROR = 1
INTERRUPTED = 130


def fail(message: str, hint: str, status: int = EXPECTED_ERROR) -> NoReturn:
    """End with one line on stderr, and what to do."""
    line = f"gridlight: {message.rstrip('.')}"
    sys.stderr.write(f"{line} ({hint})\n" if hint and "\n" not in hint else f"{line}\n{hint}\n".replace("\n\n", "\n"))
    sys.exit(status)


@contextmanager
def explaining(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds say themselves what to do: end with their words and no traceback."""
    try:
        yield
    except kinds as error:
        raise GridlightError(str(error), getattr(error, "hint", "")) from error


def demand(*packages: str) -> None:
    """ModuleNotFoundError where one of them is not installed; what is there is not loaded."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def interrupt_on_termination() -> None:
    """SIGTERM as Ctrl-C: what was started is stopped, and a frozen node is woken, on the way out."""
    import signal

    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
