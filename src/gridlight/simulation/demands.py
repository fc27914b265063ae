"""How a property is demanded: a function that raises CheckFailed, named for what it demands."""


class CheckFailed(Exception):
    """The core, or the simulator, broke a promise."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check


def demand(holds: bool, check: str, detail: str) -> None:
    """Raise where a property does not hold."""
    if not holds:
        raise CheckFailed(check, detail)
