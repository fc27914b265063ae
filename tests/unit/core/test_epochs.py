"""Epochs: what is promised before, and what is shown afterwards."""

from hashlib import blake2b

import msgspec
import pytest
from tests.unit.core.world import World, only, secret

from gridlight.core.epochs import REVEALED_AFTER, Epochs, commitment
from gridlight.messages.trust import EpochBegan, RecordEpoch


def began(epoch: int) -> EpochBegan:
    return EpochBegan(epoch=epoch, secret=secret(epoch), next_secret=secret(epoch + 1))


def test_the_first_epoch_and_the_next_are_committed_to_and_nothing_is_shown() -> None:
    records = Epochs().begin(began(5))

    assert records == [
        RecordEpoch(epoch=5, commitment=commitment(secret(5))),
        RecordEpoch(epoch=6, commitment=commitment(secret(6))),
    ]


def test_every_further_epoch_was_committed_to_one_epoch_before() -> None:
    epochs = Epochs()
    told = [record for number in range(5, 12) for record in epochs.begin(began(number))]

    promised = [record for record in told if record.secret is None]

    assert [record.epoch for record in promised] == list(range(5, 13))
    assert [record.commitment for record in promised] == [commitment(secret(epoch)) for epoch in range(5, 13)]


def test_a_secret_is_shown_two_epochs_later_and_once() -> None:
    epochs = Epochs()
    shown = [[record.epoch for record in epochs.begin(began(number)) if record.secret] for number in range(5, 10)]

    assert shown == [[], [], [5], [6], [7]]
    assert REVEALED_AFTER == 2


def test_a_shown_secret_is_what_was_committed_to() -> None:
    epochs = Epochs()
    told = [record for number in range(5, 9) for record in epochs.begin(began(number))]

    promised = {record.epoch: record.commitment for record in told if record.secret is None}
    shown = [record for record in told if record.secret is not None]

    assert shown
    for record in shown:
        assert record.secret is not None
        assert blake2b(bytes.fromhex(record.secret), digest_size=32).hexdigest() == promised[record.epoch]


def test_secrets_of_epochs_that_were_skipped_over_are_all_shown() -> None:
    epochs = Epochs()
    epochs.begin(began(5))
    epochs.begin(began(6))

    records = epochs.begin(EpochBegan(epoch=40, secret=secret(7), next_secret=secret(41)))

    assert [record.epoch for record in records if record.secret] == [5, 6]


def test_a_secret_that_was_not_committed_to_is_our_own_mistake() -> None:
    world = World()
    world.begin_epoch(1)

    with pytest.raises(AssertionError, match="not the one that was committed to"):
        world.begin_epoch(3)


def test_the_host_is_told_which_secret_it_committed_to() -> None:
    world, verification = World(), World().coordinator.verification
    assert (verification.epoch, verification.next_secret) == (None, None)

    records = only(RecordEpoch, world.begin_epoch(1))

    verification = world.coordinator.verification
    assert len(records) == 2
    assert (verification.epoch, verification.next_secret) == (1, secret(2))


def test_restored_epochs_go_on() -> None:
    epochs = Epochs()
    epochs.begin(began(5))
    epochs.begin(began(6))

    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(epochs), type=Epochs)

    assert restored.begin(began(7)) == epochs.begin(began(7))
    assert restored == epochs
