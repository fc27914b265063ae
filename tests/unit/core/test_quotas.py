"""What several gateways count of an account's day."""

from hypothesis import given
from hypothesis import strategies as some

from gridlight.core.quotas import DAY_MS, Quotas, Spent


def test_a_day_s_quota_is_used_up_and_is_back_the_next_day() -> None:
    quotas = Quotas()

    assert [quotas.spend(0, "a", 2) for _ in range(3)] == [True, True, False]
    assert quotas.used(0, "a") == 2
    assert quotas.used(DAY_MS, "a") == 0
    assert quotas.spend(DAY_MS, "a", 2)
    assert quotas.used(DAY_MS, "a") == 1


def test_an_account_without_a_quota_is_counted_and_never_refused() -> None:
    quotas = Quotas()

    assert all(quotas.spend(0, "a", None) for _ in range(100))
    assert quotas.used(0, "a") == 100
    assert quotas.used(0, "b") == 0


def test_what_was_saved_is_not_saved_again() -> None:
    quotas = Quotas()
    quotas.spend(0, "a", None)
    [spent] = quotas.unsaved()
    quotas.spend(0, "a", None)

    quotas.saved(spent, 41)

    assert spent == Spent(account="a", day=0, count=1)
    assert quotas.unsaved() == [Spent(account="a", day=0, count=1)]
    assert quotas.used(0, "a") == 42
    quotas.saved(quotas.unsaved()[0], 42)
    assert quotas.unsaved() == []


def test_what_was_saved_of_yesterday_counts_for_nothing_today() -> None:
    quotas = Quotas()
    quotas.spend(0, "a", None)
    [spent] = quotas.unsaved()
    quotas.spend(DAY_MS, "a", None)

    quotas.saved(spent, 1)
    quotas.saved(Spent(account="stranger", day=0, count=1), 1)

    assert quotas.used(DAY_MS, "a") == 1
    assert quotas.unsaved() == [Spent(account="a", day=1, count=1)]


def test_what_others_saved_counts_and_an_older_look_changes_nothing() -> None:
    quotas = Quotas()
    quotas.seen(0, "a", 9)
    quotas.seen(0, "a", 7)

    assert quotas.spend(0, "a", 10)
    assert not quotas.spend(0, "a", 10)


def test_accounts_are_bounded_and_nothing_unsaved_is_forgotten() -> None:
    quotas = Quotas(accounts_max=1)
    quotas.spend(0, "a", None)

    assert not quotas.spend(0, "b", None)
    quotas.seen(0, "b", 5)
    assert quotas.used(0, "b") == 0
    quotas.saved(quotas.unsaved()[0], 1)
    assert quotas.spend(0, "b", None)
    assert len(quotas) == 1


@given(
    most=some.integers(0, 20),
    steps=some.lists(some.tuples(some.integers(0, 2), some.booleans()), max_size=120),
)
def test_gateways_together_exceed_a_quota_by_what_none_had_saved_and_lose_nothing(
    most: int, steps: list[tuple[int, bool]]
) -> None:
    gateways, total, allowed = [Quotas() for _ in range(3)], 0, 0
    for which, saves in steps:
        gateway = gateways[which]
        if saves:
            for spent in gateway.unsaved():
                total += spent.count
                gateway.saved(spent, total)
        else:
            allowed += gateway.spend(0, "a", most)

    for gateway in gateways:
        for spent in gateway.unsaved():
            total += spent.count
            gateway.saved(spent, total)
    assert total == allowed
    assert allowed <= most * len(gateways)
