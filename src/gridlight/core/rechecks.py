"""Rechecks: a reference node repeats one run of a case, with that run's own seed, now and then.

Where a workload dithers, each run is of an input that its own seed altered a little, so its probes are nobody else's.
Two nodes that were asked one task are held against each other loosely, as two dithers are; a node that took over what
a fellow said, raw values and all, passes that. It does not pass a recheck.
"""

from typing import Final

from gridlight.core.cases import Answer, Case
from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.notices import NOBODY
from gridlight.messages.limits import DITHER_BITS
from gridlight.messages.trust import Role

MILLION: Final = 1_000_000
_OWN: Final = (1 << DITHER_BITS) - 1


def seed_for(case: Case, role: Role) -> int:
    """The seed of the next run: its own in the lower bits, but a reference node or a panel repeats somebody's run.

    The upper bits choose the places of probes and are the task's, so that any two runs of it can be compared.
    """
    if role is Role.REFERENCE:
        return case.probe_seed if case.repeated is None else case.repeated
    if case.is_panel:
        return case.probe_seed
    return case.probe_seed & ~_OWN | _draw(case, "dither", case.asked) & _OWN


def drawn(case: Case, recheck_ppm: int) -> Answer | None:
    """Which run of a case that agrees is repeated, if any: each with this chance, and at most one a case."""
    done = {answer.probe_seed for answer in case.answers if answer.role is Role.REFERENCE}
    runs = [one for one in case.answers if one.role is not Role.REFERENCE and one.node != NOBODY]
    runs = [one for one in runs if one.probe_seed not in done]
    if not is_within(_draw(case, "recheck", case.asked), min(recheck_ppm * len(runs), MILLION)):
        return None
    return runs[_draw(case, "recheck of", case.asked) % len(runs)]


def _draw(case: Case, label: str, number: int) -> int:
    return draw_keyed(case.draw.to_bytes(8, "little"), label, case.commit, number)
