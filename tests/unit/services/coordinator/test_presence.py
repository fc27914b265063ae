"""Who was heard from lately: an offer stands for ten minutes, and every word of its node starts them anew."""

from tests.unit.core.world import node_id

from gridlight.services.coordinator.presence import OFFER_LASTS_MS, Presence

FIRST, SECOND = node_id(1), node_id(2)
NOW_MS = 1_000_000


def test_an_offer_stands_for_ten_minutes() -> None:
    presence = Presence()
    presence.heard(NOW_MS, FIRST)

    assert OFFER_LASTS_MS == 10 * 60 * 1_000
    assert presence.expired(NOW_MS + OFFER_LASTS_MS - 1) == []
    assert presence.expired(NOW_MS + OFFER_LASTS_MS) == [FIRST]


def test_a_silent_node_is_told_once() -> None:
    presence = Presence()
    presence.heard(NOW_MS, FIRST)
    presence.expired(NOW_MS + OFFER_LASTS_MS)

    assert presence.expired(NOW_MS + 2 * OFFER_LASTS_MS) == []


def test_a_refresh_starts_the_ten_minutes_anew() -> None:
    presence = Presence()
    presence.heard(NOW_MS, FIRST)
    presence.heard(NOW_MS, SECOND)
    presence.heard(NOW_MS + 1, FIRST)

    assert presence.expired(NOW_MS + OFFER_LASTS_MS) == [SECOND]
    assert presence.expired(NOW_MS + OFFER_LASTS_MS + 1) == [FIRST]


def test_those_silent_for_longest_come_first() -> None:
    presence = Presence()
    for age in range(5):
        presence.heard(NOW_MS + age, node_id(age + 1))

    assert presence.expired(NOW_MS + OFFER_LASTS_MS + 2) == [node_id(1), node_id(2), node_id(3)]


def test_a_node_that_left_does_not_expire() -> None:
    presence = Presence()
    presence.heard(NOW_MS, FIRST)
    presence.left(FIRST)
    presence.left(SECOND)  # who was never heard may leave, too

    assert presence.expired(NOW_MS + OFFER_LASTS_MS) == []


def test_a_node_that_came_back_has_its_ten_minutes_again() -> None:
    presence = Presence()
    presence.heard(NOW_MS, FIRST)
    presence.expired(NOW_MS + OFFER_LASTS_MS)
    presence.heard(NOW_MS + OFFER_LASTS_MS, FIRST)

    assert presence.expired(NOW_MS + OFFER_LASTS_MS + 1) == []
    assert presence.expired(NOW_MS + 2 * OFFER_LASTS_MS) == [FIRST]
