"""Epochs: each has the secret that was promised before it, whoever promised it."""

from tests.unit.core.world import START_MS

from gridlight.core.coordinator import Coordinator
from gridlight.messages.trust import RecordEpoch
from gridlight.services.coordinator.epochs import EpochSequence, draw_secret


def sequence(core: Coordinator) -> EpochSequence:
    """As a process that folded the journal makes it."""
    return EpochSequence(core.verification.epoch, core.verification.next_secret)


def test_a_new_network_begins_with_epoch_0() -> None:
    first = sequence(Coordinator()).begin()

    assert first.epoch == 0
    assert first.secret != first.next_secret


def test_each_epoch_has_the_secret_that_the_one_before_promised() -> None:
    epochs = sequence(Coordinator())
    begun = [epochs.begin() for _ in range(5)]

    assert [one.epoch for one in begun] == [0, 1, 2, 3, 4]
    assert [one.secret for one in begun[1:]] == [one.next_secret for one in begun[:-1]]


def test_a_new_process_begins_the_next_epoch_with_the_promised_secret() -> None:
    core = Coordinator()
    first = sequence(core).begin()
    core.handle(START_MS, first)
    restarted = Coordinator.restored(core.snapshot())
    second = sequence(restarted).begin()

    assert (second.epoch, second.secret) == (1, first.next_secret)
    committed = [one for one in restarted.handle(START_MS, second) if type(one) is RecordEpoch]
    assert [(one.epoch, one.secret) for one in committed] == [(2, None)]


def test_an_epoch_that_was_begun_and_not_journalled_is_begun_by_the_next_process() -> None:
    core = Coordinator()
    epochs = sequence(core)
    core.handle(START_MS, epochs.begin())
    lost = epochs.begin()
    again = sequence(core).begin()

    assert (again.epoch, again.secret) == (lost.epoch, lost.secret)
    assert again.next_secret != lost.next_secret


def test_a_secret_is_256_bits_and_no_other_one() -> None:
    drawn = {draw_secret() for _ in range(100)}

    assert len(drawn) == 100
    assert all(len(bytes.fromhex(secret)) == 32 for secret in drawn)
