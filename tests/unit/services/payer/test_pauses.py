"""How long the watcher of deposits waits before it asks again."""

from random import Random

from gridlight.services.payer.deposits import AFTER_FAILURE_MS, AFTER_FAILURES_MS_MAX, LOOK_AGAIN_MS, pause_ms


def test_pauses_double_with_each_failure_up_to_a_bound_and_differ_by_up_to_a_half() -> None:
    random = Random(1)
    for failures, most in ((0, LOOK_AGAIN_MS), (1, AFTER_FAILURE_MS), (3, 4 * AFTER_FAILURE_MS)):
        pauses = {pause_ms(failures, random) for _ in range(500)}
        assert most // 2 <= min(pauses) < max(pauses) <= most
        assert len(pauses) > 100
    assert AFTER_FAILURES_MS_MAX // 2 <= pause_ms(10**9, random) <= AFTER_FAILURES_MS_MAX
