"""Who had to be audited: drawn again from a revealed secret, and held against what the network says that it did."""

from collections.abc import Iterable

from msgspec import Struct

from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.epochs import commitment
from gridlight.messages.api import CommitView, EpochView


class Deviation(Struct, frozen=True, omit_defaults=True):
    """Something that is not as the rules say it must be; about a commit, or about the whole epoch."""

    what: str
    commit: int | None = None


class EpochFindings(Struct, frozen=True):
    """One epoch, drawn again."""

    epoch: int
    commits: int
    audited: int
    deviations: list[Deviation]


def recompute(epoch: EpochView, commits: Iterable[CommitView]) -> EpochFindings:
    """Draw every audit again. `commits` are all of the epoch, in their order, and may come from pages."""
    assert epoch.secret is not None
    key = bytes.fromhex(epoch.secret)
    deviations: list[Deviation] = []
    if commitment(epoch.secret) != epoch.commitment:
        deviations.append(Deviation("the secret is not the one that was committed to"))
    count, audited, last = 0, 0, None
    for one in commits:
        count += 1
        audited += one.is_audited
        # An answer that is left out would hide that its audit was.
        if last is not None and one.commit != last + 1:
            deviations.append(Deviation(f"commits {last + 1} to {one.commit - 1} are not shown", one.commit))
        last = one.commit
        had_to_be = is_within(draw_keyed(key, "audit", one.commit), one.audit_ppm)
        if had_to_be != one.is_audited:
            what = "had to be audited and was not" if had_to_be else "was audited although it was not drawn"
            deviations.append(Deviation(what, one.commit))
    return EpochFindings(epoch.epoch, count, audited, deviations)
