"""A node's certificate: what its operator says, and what nobody can make of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gridlight.adapters.certificates import (
    CERTIFICATE_FILE,
    DAY_MS,
    SKEW_MS,
    BadCertificate,
    carried_certificate,
    certify,
    check_certificate,
)
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.ids import NodeId

NOW_MS = 1_800_000_000_000
OPERATOR = SigningKey.generate()
NODE = NodeId(SigningKey.generate().public)
TEXT = certify(OPERATOR, NODE, now_ms=NOW_MS)


def holds(text: str, now_ms: int) -> bool:
    try:
        check_certificate(text, NODE, now_ms=now_ms)
    except ProtocolViolation:
        return False
    return True


def test_it_says_whose_the_node_is() -> None:
    certificate = check_certificate(TEXT, NODE, now_ms=NOW_MS)

    assert (certificate.operator, certificate.node_id, certificate.serial) == (OPERATOR.public, NODE, NOW_MS)


@given(days=some.integers(1, 14), after_ms=some.integers(-30 * DAY_MS, 30 * DAY_MS))
def test_it_holds_until_it_expires_and_for_nobody_longer_than_a_fortnight(days: int, after_ms: int) -> None:
    text = certify(OPERATOR, NODE, now_ms=NOW_MS, days=days)

    left_ms = days * DAY_MS - after_ms
    assert holds(text, NOW_MS + after_ms) == (0 < left_ms <= 14 * DAY_MS + SKEW_MS)


@given(at=some.integers(0, len(TEXT) - 1), by=some.integers(1, 63))
def test_no_character_of_it_can_be_changed(at: int, by: int) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if TEXT[at] == "." or at in (len(TEXT) - 1, TEXT.index(".") - 1):
        return  # the last of each part holds bits that say nothing
    changed = TEXT[:at] + letters[(letters.index(TEXT[at]) + by) % 64] + TEXT[at + 1 :]

    assert not holds(changed, NOW_MS)


def test_a_folder_s_certificate_is_carried_and_one_without_it_carries_none(tmp_path: Path) -> None:
    assert carried_certificate(tmp_path, NODE, now_ms=NOW_MS) is None
    (tmp_path / CERTIFICATE_FILE).write_text(TEXT + "\n")

    assert carried_certificate(tmp_path, NODE, now_ms=NOW_MS) == TEXT


@pytest.mark.parametrize(
    "text", ["", "junk", "é", TEXT[:-9], certify(OPERATOR, NodeId(OPERATOR.public), now_ms=NOW_MS)]
)
def test_a_file_that_holds_none_is_said_to_be_bad(text: str, tmp_path: Path) -> None:
    (tmp_path / CERTIFICATE_FILE).write_text(text, encoding="utf-8")

    with pytest.raises(BadCertificate, match="certificate"):
        carried_certificate(tmp_path, NODE, now_ms=NOW_MS)


def test_a_file_that_has_expired_is_said_to_be_bad(tmp_path: Path) -> None:
    (tmp_path / CERTIFICATE_FILE).write_text(TEXT)

    with pytest.raises(BadCertificate, match="expired"):
        carried_certificate(tmp_path, NODE, now_ms=NOW_MS + 14 * DAY_MS)
