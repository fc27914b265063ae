"""What is signed."""

import pytest

from gridlight.messages.envelope import ENROLMENT_DOMAIN, REPLY_DOMAIN, signed_bytes


def test_the_message_is_signed_as_sent_behind_its_domain() -> None:
    assert signed_bytes(REPLY_DOMAIN, b'{"a": 1}') == b'gridlight.node.reply.v1\0{"a": 1}'


def test_no_signature_serves_in_another_place() -> None:
    assert signed_bytes(REPLY_DOMAIN, b"m") != signed_bytes(ENROLMENT_DOMAIN, b"m")
    assert not REPLY_DOMAIN.startswith(ENROLMENT_DOMAIN)
    assert not ENROLMENT_DOMAIN.startswith(REPLY_DOMAIN)


def test_a_domain_ends_where_no_message_can_reach() -> None:
    with pytest.raises(AssertionError):
        signed_bytes(b"gridlight.node.reply.v1", b"m")
