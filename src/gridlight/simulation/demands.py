"""How a property is demanded: a function that raises CheckFailed, named for what it demands."""


class CheckFailed(Exception):
    """The core, or the simulator, broke a promise."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check


def demand(holds: bool, check: str, *about: object) -> None:
    """Raise where a property does not hold. What it is about is put into words only then: most of a million hold."""
    if not holds:
        raise CheckFailed(check, " ".join(map(str, about)))
