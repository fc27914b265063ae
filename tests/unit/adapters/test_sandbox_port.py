"""What follows from a probe's findings: which guarantees hold, and whether a stranger's code may run."""

import msgspec
import pytest

from gridlight.adapters.sandbox.port import (
    NOTHING_PROVED,
    Findings,
    Guarantees,
    may_run_third_party,
)
from gridlight.messages.codec import ProtocolViolation, shaped

ALL = frozenset(Guarantees.__struct_fields__)
HELD = Findings(outcomes={name: {"attempt": "EPERM"} for name in ALL}, escapes={})


def test_where_every_attempt_was_blocked_a_third_party_may_run() -> None:
    assert may_run_third_party(HELD.guarantees(ALL)).is_allowed


@pytest.mark.parametrize("name", sorted(ALL))
def test_one_escape_is_enough_to_keep_a_third_party_out(name: str) -> None:
    findings = msgspec.structs.replace(HELD, escapes={name: {"another": "was reached"}})

    refused = may_run_third_party(findings.guarantees(ALL))

    assert not refused.is_allowed
    assert refused.missing == (name,)


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_was_not_attempted_does_not_hold(name: str) -> None:
    findings = msgspec.structs.replace(HELD, outcomes={key: one for key, one in HELD.outcomes.items() if key != name})

    assert findings.guarantees(ALL).missing() == [name]


def test_what_no_wall_was_put_up_for_does_not_hold() -> None:
    assert HELD.guarantees(ALL - {"cpu"}).missing() == ["cpu"]


def test_where_nothing_was_proved_nothing_holds() -> None:
    assert set(NOTHING_PROVED.guarantees(ALL).missing()) == ALL


@pytest.mark.parametrize("junk", [{}, {"outcomes": 1, "escapes": {}}, {"outcomes": {"network": "fine"}, "escapes": {}}])
def test_findings_that_are_none_are_refused(junk: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolation):
        shaped(junk, Findings)
