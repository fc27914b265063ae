"""Words as files: the network's public key alone tells genuine ones and what they prove. One changed byte is enough."""

import json

import msgspec
import pytest
from tests.unit.core.test_receipts import closed, receipt
from tests.unit.core.test_words import word

from gridlight.adapters.receipts import ReceiptInvalid, sign_root
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.words import (
    read_page,
    read_words,
    sign_closed,
    unsealed_page,
    verify_omission,
    verify_words,
    write_omission,
    write_words,
)
from gridlight.core.receipts import Sheet, prove_absent
from gridlight.core.words import Words, prove_words
from gridlight.messages.ids import AssignmentId
from gridlight.messages.receipts import Absence, Receipt, SheetRoot
from gridlight.messages.words import OmissionProof, WordsFile, words_bytes

NETWORK, STRANGER = SigningKey.generate(), SigningKey.generate()
Sheets = list[tuple[SheetRoot, list[Receipt]]]


def given(signer: SigningKey = NETWORK, *, due_ms: int = 1_000, runs: int = 3) -> WordsFile:
    """The network's words on runs 1 to 3, each of another node; that on number 1."""
    page = Words()
    for number in range(1, runs + 1):
        one = receipt(number)
        page.write(one.node, one.operator, word(number), due_ms=due_ms)
    record = page.close(100, sheet=0, epoch=5)
    index = next(place for place, part in enumerate(record.parts) if part.node == receipt(1).node)
    path = prove_words([words_bytes(part) for part in record.parts], index)
    root = sign_closed(signer, record.root)
    return WordsFile(words=record.parts[index], index=index, path=path, root=root)


def proof_of(sheets: Sheets, *, signer: SigningKey = NETWORK, words: WordsFile | None = None) -> bytes:
    """What a node brings that was left out as number 1."""
    absences: list[Absence] = []
    for root, receipts in sheets:
        absence = prove_absent(receipts, sign_root(signer, root), receipt(1).place)
        absences.append(absence or Absence(root=sign_root(signer, root)))
    words = given(signer) if words is None else words
    return write_omission(OmissionProof(attempt=receipt(1).attempt, words=words, absences=tuple(absences)))


def without_it() -> Sheets:
    sheet = Sheet()
    return [closed(sheet, 2, 3, at_ms=600), closed(sheet, 4, at_ms=1_200)]


def test_words_are_told_by_the_public_key_alone() -> None:
    file = given()
    root = verify_words(file, NETWORK.public)
    assert read_words(write_words(file)) == file
    assert root == read_page(file.root, NETWORK.public) == unsealed_page(file.root)
    with pytest.raises(ReceiptInvalid, match="did not say so"):
        verify_words(file, STRANGER.public)
    with pytest.raises(ReceiptInvalid, match="no network's key"):
        verify_words(file, "U123")
    other = msgspec.structs.replace(file, words=msgspec.structs.replace(file.words, operator="somebody"))
    with pytest.raises(ReceiptInvalid, match="does not have these words"):
        verify_words(other, NETWORK.public)
    with pytest.raises(ReceiptInvalid, match="no words"):
        read_words(b"{}")


def test_neither_a_sheets_root_passes_for_a_pages_nor_the_other_way_round() -> None:
    root, _ = closed(Sheet(), 1)
    with pytest.raises(ReceiptInvalid):
        read_page(sign_closed(NETWORK, root), NETWORK.public)
    assert sign_closed(NETWORK, root) == sign_root(NETWORK, root)


def test_p45_an_omission_is_shown_by_the_networks_own_words() -> None:
    words, told, page = verify_omission(proof_of(without_it()), NETWORK.public)
    assert (words.node, told.attempt, page.due_ms) == (receipt(1).node, receipt(1).attempt, 1_000)
    with pytest.raises(ReceiptInvalid, match="not all there"):
        verify_omission(proof_of(without_it()[:1]), NETWORK.public)
    with pytest.raises(ReceiptInvalid, match="not all there"):
        verify_omission(proof_of(without_it(), words=given(due_ms=1_201)), NETWORK.public)
    with pytest.raises(ReceiptInvalid, match="did not say so"):
        verify_omission(proof_of(without_it(), signer=STRANGER), NETWORK.public)
    with pytest.raises(ReceiptInvalid, match="did not say so"):
        verify_omission(proof_of(without_it(), words=given(STRANGER)), NETWORK.public)
    with pytest.raises(ReceiptInvalid, match="no proof"):
        verify_omission(b"{}", NETWORK.public)


def test_p45_who_has_a_receipt_cannot_show_an_omission() -> None:
    sheet = Sheet()
    sheets = [closed(sheet, 2, at_ms=600), closed(sheet, 1, at_ms=1_200)]
    with pytest.raises(ReceiptInvalid, match="does not show that sheet 1 lacks"):
        verify_omission(proof_of(sheets), NETWORK.public)


def test_the_networks_word_on_one_run_is_none_on_another() -> None:
    data = proof_of(without_it())
    other = msgspec.json.decode(data, type=OmissionProof)
    other = msgspec.structs.replace(other, attempt=AssignmentId("ab" * 8))
    with pytest.raises(ReceiptInvalid, match="no word there"):
        verify_omission(write_omission(other), NETWORK.public)


def test_one_flipped_byte_fails() -> None:
    data = proof_of(without_it())
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 0x01 if place % 2 else 0x20
        with pytest.raises(ReceiptInvalid):
            verify_omission(bytes(changed), NETWORK.public)


def test_the_same_proof_in_another_form_is_refused() -> None:
    with pytest.raises(ReceiptInvalid, match="another form"):
        verify_omission(json.dumps(json.loads(proof_of(without_it()))).encode(), NETWORK.public)
