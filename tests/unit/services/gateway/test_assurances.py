"""What requesters are told of prices and errors is what the derivation says."""

import pytest

from gridlight.messages.trust import LAPTOP, PRODUCTION, Assurance
from gridlight.services.gateway.assurances import MALICIOUS_SHARE, expected_error, levels


def error(assurance: Assurance, share: float, trusted_after: int) -> float:
    return expected_error(assurance, malicious_share=share, trusted_after=trusted_after)


@pytest.mark.parametrize(
    ("share", "trusted_after", "wrong"),
    [(0.01, 800, 8.1e-6), (0.10, 800, 9.2e-5), (0.30, 800, 3.7e-4), (0.10, 729, 1e-4), (0.20, 1_680, 1e-4)],
)
def test_a_sampled_answer_is_wrong_as_often_as_the_closed_form_says(
    share: float, trusted_after: int, wrong: float
) -> None:
    assert error(Assurance.SAMPLED, share, trusted_after) == pytest.approx(wrong, rel=0.05)


@pytest.mark.parametrize("share", [0.01, 0.10, 0.30])
def test_the_closed_form_is_the_worst_moment_that_a_liar_can_choose(share: float) -> None:
    """The bound before it is simplified, over every age from the first trusted answer to long after the floor."""
    trusted_after, rate_min = 800, PRODUCTION.audit_ppm_min / 1_000_000
    worst = max(
        share * (1 - rate * (1 - share)) / ((1 - share) * age * (rate + rate_min))
        for age in range(trusted_after, 50 * trusted_after)
        for rate in [max(trusted_after / age, rate_min)]
    )

    assert error(Assurance.SAMPLED, share, trusted_after) == pytest.approx(worst, rel=0.05)


def test_an_audit_of_the_very_answer_leaves_what_two_colluders_can_do() -> None:
    assert error(Assurance.NONE, 0.1, 800) == 0.1
    assert error(Assurance.AUDITED, 0.1, 800) == pytest.approx(0.1 * 9.2e-5, rel=0.01)
    assert error(Assurance.ARBITRATED, 0.1, 800) == pytest.approx(0.01 * 9.2e-5, rel=0.01)


def test_whoever_pays_more_is_wrong_less_often() -> None:
    offered = levels(PRODUCTION.trusted_after)

    assert [level.verify for level in offered] == list(Assurance)
    assert [level.price for level in offered] == [1.0, 1.12, 2.05, 3.3]
    errors = [level.expected_error for level in offered]
    assert errors == sorted(errors, reverse=True)
    assert errors == [MALICIOUS_SHARE, 9.2e-05, 9.2e-06, 9.2e-07]
    assert all(level.meaning.endswith(".") for level in offered)


def test_a_network_that_trusts_sooner_is_wrong_more_often() -> None:
    assert levels(LAPTOP.trusted_after)[1].expected_error == 0.0092
