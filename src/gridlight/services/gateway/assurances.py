"""What each level of assurance costs, and how often its final answers are wrong all the same.

Costs are relative to an answer that nobody checks: 1.00 for the answer itself, and what the checks of its kind add to
it over a network's life. Errors assume that a share f of the work of trusted nodes is done by colluders, who share one
wrong answer, cover for each other, choose the moment, and come back under new names as soon as they are banned.

With A = `trusted_after`, a node with a clean run of n answers is audited at the rate q = A/n, but no less than q_min.
One that starts to lie then is found per answer with the probability (q + q_min)(1 - f), as it is checked both as
answerer and as auditor unless a colluder is on the other side. It gives (1 - q(1-f)) wrong answers for each time that
it is found, and pays n honest ones for it. The share of wrong answers among all is therefore at most

    f (1 - q(1-f)) / ((1-f) n (q + q_min)),

which is largest near n = 5A and there 0.66 f / ((1-f) A), for q_min of 5 %. docs/verification.md tells more.
"""

from typing import Final

from gridlight.messages.api import LevelView
from gridlight.messages.trust import Assurance

MALICIOUS_SHARE: Final = 0.10
"""f: what is assumed where errors are named."""
WORST_MOMENT: Final = 0.66

PRICES: Final = {
    Assurance.NONE: 1.00,
    Assurance.SAMPLED: 1.12,
    Assurance.AUDITED: 2.05,
    Assurance.ARBITRATED: 3.30,
}
MEANINGS: Final = {
    Assurance.NONE: "One node's word, served as unverified and never checked: expect a liar's share of wrong answers.",
    Assurance.SAMPLED: "Final once its node passed a later audit; which answers are audited nobody can foresee.",
    Assurance.AUDITED: "Final only when another operator's node computed this very answer again, and it matched.",
    Assurance.ARBITRATED: "Final only when two operators' nodes and a reference node computed this very answer again.",
}


def expected_error(assurance: Assurance, *, malicious_share: float, trusted_after: int) -> float:
    """The largest share of wrong answers that colluders can keep up in the long run.

    An audit of this very answer passes a lie only where its auditor is a colluder, too: a factor f for each. The
    reference node of an arbitration would find the rest; it is counted as if it were not there.
    """
    assert 0 <= malicious_share < 1
    assert trusted_after >= 1
    sampled = WORST_MOMENT * malicious_share / ((1 - malicious_share) * trusted_after)
    match assurance:
        case Assurance.NONE:
            return malicious_share
        case Assurance.SAMPLED:
            return sampled
        case Assurance.AUDITED:
            return malicious_share * sampled
        case Assurance.ARBITRATED:
            return malicious_share**2 * sampled


def levels(trusted_after: int) -> list[LevelView]:
    """Every level, the cheapest first; errors with two digits that count."""
    return [
        LevelView(
            verify=assurance,
            price=PRICES[assurance],
            expected_error=_two_digits(
                expected_error(assurance, malicious_share=MALICIOUS_SHARE, trusted_after=trusted_after)
            ),
            meaning=MEANINGS[assurance],
        )
        for assurance in Assurance
    ]


def _two_digits(share: float) -> float:
    return float(f"{share:.2g}")
