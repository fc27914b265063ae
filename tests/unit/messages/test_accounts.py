"""Ids, limits and names of accounts as strangers write them."""

import hashlib

import pytest

from gridlight.messages.accounts import AccountBody, KeyBody, Limits, Scope, account_id, deposit_number
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.ids import AccountId

bodies: Decoder[AccountBody] = Decoder(AccountBody)
keys: Decoder[KeyBody] = Decoder(KeyBody)


def test_an_account_s_id_is_read() -> None:
    assert account_id("acc_0123456789abcdef") == "acc_0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["", "acc_", "acc_0123456789abcde", "acc_0123456789ABCDEF", "acc_0123456789abcde/", "xxx_0123456789abcdef"]
)
def test_what_is_no_account_s_id_is_none(text: str) -> None:
    assert account_id(text) is None


def test_an_account_s_number_for_deposits_follows_from_its_id_alone_and_fits_63_bits() -> None:
    first, other = AccountId("acc_0123456789abcdef"), AccountId("acc_0123456789abcdeg")
    digest = hashlib.sha256(b"gridlight.deposit.v1:acc_0123456789abcdef").hexdigest()

    assert deposit_number(first) == int(digest[:16], 16) // 2 == deposit_number(first)
    assert deposit_number(other) != deposit_number(first)
    assert all(0 <= deposit_number(AccountId(f"acc_{number:016d}")) < 2**63 for number in range(200))


def test_what_is_left_out_is_not_limited() -> None:
    assert bodies.decode(b'{"name":"robots"}').limits == Limits(rate_per_minute=None, burst=60, requests_per_day=None)
    assert keys.decode(b"{}").scopes == (Scope.DETECT, Scope.READ)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"name":""}',
        b'{"name":"a\\nb"}',
        b'{"name":"a","limits":{"rate_per_minute":0}}',
        b'{"name":"a","limits":{"burst":0}}',
        b'{"name":"a","limits":{"requests_per_day":-1}}',
        b'{"name":"a","limits":{"rate":5}}',
        b'{"name":"a","admin":true}',
    ],
)
def test_an_account_that_cannot_be_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        bodies.decode(body)


@pytest.mark.parametrize("body", [b'{"scopes":[]}', b'{"scopes":["admin"]}', b'{"label":""}'])
def test_a_key_that_cannot_be_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        keys.decode(body)
