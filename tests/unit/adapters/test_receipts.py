"""Receipts as files: the network's public key alone tells a genuine one, and one changed byte is enough."""

import json

import msgspec
import pytest
from tests.unit.core.test_receipts import closed, receipt, words

from gridlight.adapters.receipts import (
    ReceiptInvalid,
    read_root,
    sign_dispatched,
    sign_root,
    sign_seen,
    verify_omission,
    verify_receipt,
    write_receipt,
)
from gridlight.adapters.signatures import SigningKey
from gridlight.core.receipts import Sheet, prove, prove_absent
from gridlight.messages.codec import encode
from gridlight.messages.receipts import Absence, OmissionProof, Receipt, SheetRoot

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


def proof_of(sheets: list[tuple[SheetRoot, list[Receipt]]], *, signer: SigningKey = NETWORK) -> bytes:
    """What a node brings that was left out as number 1."""
    dispatched, seen = words()
    absences: list[Absence] = []
    for root, receipts in sheets:
        absence = prove_absent(receipts, sign_root(signer, root), receipt(1).place)
        absences.append(absence or Absence(root=sign_root(signer, root)))
    return encode(
        OmissionProof(
            dispatched=sign_dispatched(signer, dispatched), seen=sign_seen(signer, seen), absences=tuple(absences)
        )
    )


def test_p45_an_omission_is_shown_by_the_networks_own_words() -> None:
    sheet = Sheet()
    sheets = [closed(sheet, 2, 3, at_ms=600), closed(sheet, 4, at_ms=1_200)]
    assert verify_omission(proof_of(sheets), NETWORK.public, settled_after_ms=1_000).attempt == receipt(1).attempt
    with pytest.raises(ReceiptInvalid, match="not all there"):
        verify_omission(proof_of(sheets[:1]), NETWORK.public, settled_after_ms=1_000)
    with pytest.raises(ReceiptInvalid, match="did not say so"):
        verify_omission(proof_of(sheets, signer=STRANGER), NETWORK.public, settled_after_ms=1_000)
    with pytest.raises(ReceiptInvalid, match="no proof"):
        verify_omission(b"{}", NETWORK.public, settled_after_ms=1_000)


def test_p45_who_has_a_receipt_cannot_show_an_omission() -> None:
    sheet = Sheet()
    sheets = [closed(sheet, 2, at_ms=600), closed(sheet, 1, at_ms=1_200)]
    with pytest.raises(ReceiptInvalid, match="does not show that sheet 1 lacks"):
        verify_omission(proof_of(sheets), NETWORK.public, settled_after_ms=1_000)
