"""Receipts as files: the network's public key alone tells a genuine one, and one changed byte is enough."""

import json

import msgspec
import pytest
from tests.unit.core.test_receipts import closed

from gridlight.adapters.receipts import (
    ReceiptInvalid,
    read_root,
    sign_root,
    verify_receipt,
    write_receipt,
)
from gridlight.adapters.signatures import SigningKey
from gridlight.core.receipts import Sheet, prove

NETWORK, STRANGER = SigningKey.generate(), SigningKey.generate()


@pytest.fixture
def file() -> bytes:
    """Of the third of five receipts."""
    root, receipts = closed(Sheet(), 1, 2, 3, 4, 5)
    return write_receipt(prove(receipts, 2), sign_root(NETWORK, root))


def test_a_genuine_receipt_is_told_by_the_public_key_alone(file: bytes) -> None:
    verified = verify_receipt(file, NETWORK.public)
    assert verified.receipt.amount == 1_000
    assert verified.root.receipts == 5


def test_one_flipped_byte_fails(file: bytes) -> None:
    for place in range(len(file)):
        for mask in (0x01, 0x20, 0xFF):
            changed = bytearray(file)
            changed[place] ^= mask
            with pytest.raises(ReceiptInvalid):
                verify_receipt(bytes(changed), NETWORK.public)


def test_the_same_receipt_in_another_form_is_refused(file: bytes) -> None:
    with pytest.raises(ReceiptInvalid, match="another form"):
        verify_receipt(json.dumps(json.loads(file)).encode(), NETWORK.public)


def test_another_networks_key_does_not_do(file: bytes) -> None:
    with pytest.raises(ReceiptInvalid, match="did not say so"):
        verify_receipt(file, STRANGER.public)
    with pytest.raises(ReceiptInvalid, match="no network's key"):
        verify_receipt(file, "U123")


def test_a_receipt_of_another_amount_under_a_genuine_root_is_refused() -> None:
    root, receipts = closed(Sheet(), 1, 2)
    proof = prove(receipts, 0)
    richer = msgspec.structs.replace(proof, receipt=msgspec.structs.replace(proof.receipt, amount=9_999))
    with pytest.raises(ReceiptInvalid, match="does not have this receipt"):
        verify_receipt(write_receipt(richer, sign_root(NETWORK, root)), NETWORK.public)


def test_a_root_that_was_signed_is_read_back() -> None:
    root, _ = closed(Sheet(), 1)
    assert read_root(sign_root(NETWORK, root), NETWORK.public) == root
