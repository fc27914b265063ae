"""What an operator accepted stands in a file of the node, one digest a name, and nothing odd is taken for consent."""

from pathlib import Path

import pytest

from gridlight.messages.ids import WorkloadId
from gridlight.messages.limits import WORKLOADS_PER_OFFER_MAX
from gridlight.services.agent.consents import (
    AgentState,
    BadConsents,
    LentState,
    accept,
    pinned_network_key,
    read_consents,
    read_state,
    revoke,
    stamp,
    write_state,
)

FIRST, SECOND = (WorkloadId(f"stranger@sha256:{digit * 64}") for digit in "12")


def test_nothing_is_accepted_before_anything_was_said(tmp_path: Path) -> None:
    assert read_consents(tmp_path).accepted == {}
    assert revoke(tmp_path, "stranger") is None


def test_another_digest_of_a_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    accept(tmp_path, FIRST, b"one")
    accept(tmp_path, SECOND, b"two")

    (consent,) = read_consents(tmp_path).accepted.values()
    assert (consent.workload, consent.manifest) == (SECOND, b"two")
    assert revoke(tmp_path, "stranger") == consent
    assert read_consents(tmp_path).accepted == {}


def test_a_change_shows_at_a_glance(tmp_path: Path) -> None:
    seen = [stamp(tmp_path)]
    accept(tmp_path, FIRST, b"")
    seen.append(stamp(tmp_path))
    revoke(tmp_path, "stranger")
    seen.append(stamp(tmp_path))

    assert len(set(seen)) == 3


def test_a_file_that_cannot_be_read_is_no_consent(tmp_path: Path) -> None:
    (tmp_path / "consents.json").write_text('{"accepted": 7}')

    with pytest.raises(BadConsents, match="remove it, and accept again"):
        read_consents(tmp_path)


def test_a_node_accepts_so_many_and_no_more(tmp_path: Path) -> None:
    for number in range(1, WORKLOADS_PER_OFFER_MAX):
        accept(tmp_path, WorkloadId(f"w{number}@sha256:{number:064x}"), b"")

    with pytest.raises(BadConsents, match="revoke one first"):
        accept(tmp_path, FIRST, b"")


def test_what_the_agent_wrote_is_read_by_its_next_process(tmp_path: Path) -> None:
    lent = [LentState(FIRST, "fetching", 12)]
    write_state(tmp_path, lent, {SECOND: 3})

    assert read_state(tmp_path) == AgentState(lent, {SECOND: 3})
    (tmp_path / "workloads.json").write_text("{")
    assert read_state(tmp_path) == AgentState()


def test_the_first_network_key_that_a_node_hears_is_the_one_it_keeps(tmp_path: Path) -> None:
    assert pinned_network_key(tmp_path, None) is None
    assert pinned_network_key(tmp_path, "first") == "first"
    assert pinned_network_key(tmp_path, "second") == "first"
