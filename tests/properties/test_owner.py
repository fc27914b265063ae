"""Whatever is seen, preferred and said: a belief is whole, and the operator's needs go first."""

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from gridlight.core.owner import Observation, Owner, Word, WordKind
from gridlight.core.preferences import ALWAYS, DAY_MINUTES, DAYS, GENTLE, GIB, PPM, Hours, Preferences
from gridlight.core.tariff import Price
from gridlight.messages.control import PauseReason, Power, Stance
from gridlight.messages.nodes import OwnerState

NOW_S = 1_800_000_000

percents = some.integers(0, 100)
minutes = some.integers(0, DAY_MINUTES - 1)
weeks = some.lists(some.builds(Hours, minutes, minutes), min_size=DAYS, max_size=DAYS).map(tuple)
prices = some.builds(Price, some.integers(NOW_S - 9_999, NOW_S + 9_999), some.integers(-500, 500))
tariffs = some.none() | some.lists(prices, max_size=5).map(lambda listed: tuple(sorted(listed)))
words = some.builds(Word, some.sampled_from(WordKind), some.none() | some.integers(NOW_S - 99, NOW_S + 99))

preferences = some.sampled_from([GENTLE, ALWAYS]) | some.builds(
    Preferences,
    run_if_user_active=some.booleans(),
    run_on_batteries=some.booleans(),
    idle_time_to_run_s=some.integers(0, 600),
    suspend_cpu_usage_percent=percents,
    cpu_usage_limit_percent=some.integers(1, 100),
    max_ncpus_percent=some.integers(1, 100),
    ram_max_used_busy_ppm=some.integers(1, PPM),
    ram_max_used_idle_ppm=some.integers(1, PPM),
    suspend_memory_pressure_percent=percents,
    daily_xfer_limit_bytes=some.integers(0, 9),
    hours=weeks,
    network_hours=weeks,
    slots_max=some.integers(1, 256),
    price_max_micros=some.none() | some.integers(-500, 500),
)
observations = some.builds(
    Observation,
    now_s=some.just(NOW_S),
    weekday=some.integers(0, DAYS - 1),
    minute=minutes,
    watched_s=some.integers(0, 9_999),
    idle_s=some.none() | some.integers(0, 9_999),
    power=some.sampled_from(Power),
    cpus=some.integers(1, 256),
    others_cpu_percent=some.none() | percents,
    memory_bytes=some.integers(GIB // 8, 64 * GIB),
    memory_pressure_percent=some.none() | percents,
    agent_memory_bytes=some.integers(1, GIB),
    worker_memory_bytes=some.integers(GIB // 64, GIB),
    disk_used_bytes=some.integers(0, 20 * GIB),
    disk_free_bytes=some.integers(0, 20 * GIB),
    transferred_bytes=some.integers(0, 19),
    tariff=tariffs,
    word=words,
)


@given(some.lists(some.tuples(some.integers(0, 9_000), preferences, observations), min_size=1, max_size=4))
def test_a_belief_is_whole(looks: list[tuple[int, Preferences, Observation]]) -> None:
    owner, now_ms = Owner(), 0
    for later_ms, preferred, seen in looks:
        now_ms += later_ms
        belief = owner.believe(now_ms, preferred, seen)

        assert (belief.reason is None) == (belief.stance is Stance.LENDING) == (belief.cpus > 0)
        assert belief.cpus <= min(seen.cpus, preferred.slots_max)
        assert (belief.owner_state is OwnerState.AVAILABLE) == (belief.reason is None)
        assert (belief.stance is Stance.FINISHING) == (belief.reason is PauseReason.FINISHING)
        assert belief.changes_in_s is None or belief.changes_in_s > 0


@given(preferences, observations)
def test_a_node_that_lends_takes_nothing_that_its_operator_keeps(preferred: Preferences, seen: Observation) -> None:
    belief = Owner().believe(0, preferred, seen)
    if belief.stance is not Stance.LENDING:
        return

    assert preferred.run_on_batteries or seen.power is Power.MAINS
    assert preferred.run_if_user_active or seen.idle_s is not None
    assert preferred.hours[seen.weekday].has(seen.minute)
    assert preferred.network_hours[seen.weekday].has(seen.minute)
    limit = preferred.suspend_cpu_usage_percent
    assert not limit or (seen.others_cpu_percent or 0) <= limit
    assert seen.agent_memory_bytes + belief.cpus * seen.worker_memory_bytes <= seen.memory_bytes
    assert seen.disk_used_bytes <= preferred.disk_max_used_bytes
    assert belief.may_transfer


@given(preferences, observations)
def test_a_pause_goes_before_everything(preferred: Preferences, seen: Observation) -> None:
    paused = Owner().believe(0, preferred, replace(seen, word=Word(WordKind.PAUSE)))

    assert (paused.stance, paused.reason) == (Stance.YIELDING, PauseReason.PAUSED)
