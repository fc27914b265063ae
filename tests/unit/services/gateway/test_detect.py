import pytest

from gridlight.messages.limits import DEADLINE_MS_MAX, DEADLINE_MS_MIN
from gridlight.services.gateway.detect import grace_ms, reserve_ms


@pytest.mark.parametrize(("deadline_ms", "reserve"), [(200, 10), (1_000, 50), (4_000, 200), (60_000, 200)])
def test_a_part_of_the_deadline_is_kept_for_the_answer(deadline_ms: int, reserve: int) -> None:
    assert reserve_ms(deadline_ms) == reserve


@pytest.mark.parametrize("deadline_ms", [DEADLINE_MS_MIN, 1_000, 4_000, DEADLINE_MS_MAX])
def test_the_gateways_own_word_comes_before_the_deadline(deadline_ms: int) -> None:
    told_ms = deadline_ms - reserve_ms(deadline_ms)

    assert told_ms < told_ms + grace_ms(deadline_ms) < deadline_ms
