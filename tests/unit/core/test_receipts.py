"""Sheets of receipts: what is on one can be shown, what is not cannot, and what was left out can be shown, too."""

from hashlib import sha256

import msgspec
import pytest
from tests.unit.core.world import WORKLOAD, job_id, node_id

from gridlight.core.merkle import EMPTY, merkle_root
from gridlight.core.receipts import (
    ReceiptTwice,
    Sheet,
    SheetSnapshot,
    follows,
    is_absent,
    is_fork,
    is_omitted,
    is_on,
    leaf_hash,
    prove,
    prove_absent,
)
from gridlight.messages.ids import AssignmentId
from gridlight.messages.ledger import GENESIS
from gridlight.messages.receipts import (
    Absence,
    Proof,
    Receipt,
    SheetRoot,
    receipt_bytes,
    root_hash,
)
from gridlight.messages.words import WordsRoot

HEAD = "ab" * 32


def receipt(number: int, *, sheet: int = 0, amount: int = 1_000) -> Receipt:
    return Receipt(
        sheet=sheet,
        task=job_id(number),
        attempt=AssignmentId(f"{number:016x}"),
        operator=node_id(number % 3),
        node=node_id(number),
        workload=WORKLOAD,
        mwu=2_500,
        amount=amount,
        status="final",
    )


def closed(sheet: Sheet, *numbers: int, at_ms: int = 0) -> tuple[SheetRoot, list[Receipt]]:
    for number in numbers:
        sheet.write(receipt(number, sheet=sheet.number))
    return sheet.close(at_ms, ledger_seq=1, ledger_head=HEAD, epoch=7)


def test_what_a_node_earned_on_the_open_sheet_is_counted_until_it_is_closed() -> None:
    sheet = Sheet()
    for one in (receipt(1), receipt(4), receipt(5, amount=0)):
        sheet.write(msgspec.structs.replace(one, node=node_id(1)))
    again = Sheet()
    again.restore(sheet.snapshot())

    assert (sheet.earned(node_id(1)), again.earned(node_id(1)), sheet.earned(node_id(2))) == (
        (2, 2_000),
        (2, 2_000),
        (0, 0),
    )
    closed(sheet)
    assert sheet.earned(node_id(1)) == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 13])
def test_p42_every_receipt_is_on_its_sheet_and_no_other_is(count: int) -> None:
    root, receipts = closed(Sheet(), *range(1, count + 1))
    proofs = [prove(receipts, index) for index in range(count)]
    assert all(is_on(root, proof) for proof in proofs)
    for proof in proofs:
        assert not is_on(root, msgspec.structs.replace(proof, receipt=receipt(99)))
        assert not is_on(root, msgspec.structs.replace(proof, receipt=receipt(1, sheet=1)))
        assert not is_on(root, msgspec.structs.replace(proof, index=proof.index + 1))
        assert not is_on(root, msgspec.structs.replace(proof, path=(*proof.path, HEAD)))
        assert not proof.path or not is_on(root, msgspec.structs.replace(proof, path=proof.path[1:]))
        assert not proof.path or not is_on(root, msgspec.structs.replace(proof, path=(HEAD, *proof.path[1:])))


def test_the_tree_is_the_documented_one() -> None:
    root, receipts = closed(Sheet(), 1, 2, 3)
    a, b, c = (sha256(b"\x00" + receipt_bytes(one)).digest() for one in receipts)
    ab = sha256(b"\x01" + a + b).digest()
    assert root.merkle_root == sha256(b"\x01" + ab + c).hexdigest()
    assert merkle_root([]) == EMPTY == sha256(b"").hexdigest()
    assert merkle_root([leaf_hash(receipts[0])]) == a.hex()


def test_receipts_are_sorted_however_they_came() -> None:
    assert closed(Sheet(), 3, 1, 2) == closed(Sheet(), 1, 2, 3)


def test_p41_a_run_has_one_receipt() -> None:
    sheet = Sheet()
    sheet.write(receipt(1))
    with pytest.raises(ReceiptTwice):
        sheet.write(receipt(1, amount=1))
    assert len(sheet) == 1


def test_a_receipt_names_no_role() -> None:
    assert not any("role" in name for name in Receipt.__struct_fields__)


def test_a_full_sheet_must_be_closed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.core.receipts.SHEET_RECEIPTS_MAX", 1)
    sheet = Sheet()
    sheet.write(receipt(1))
    assert sheet.is_full
    closed(sheet)
    assert not sheet.is_full


def test_p43_roots_form_one_chain_and_a_fork_shows() -> None:
    sheet = Sheet()
    one, _ = closed(sheet, 1)
    two, _ = closed(sheet, 2)
    assert one.prev_root == GENESIS
    assert two.prev_root == root_hash(one)
    assert follows(one, two)
    assert not follows(two, one)
    other = msgspec.structs.replace(two, merkle_root=HEAD)
    assert is_fork(two, other)
    assert is_fork(two, msgspec.structs.replace(other, sheet=9))
    assert not is_fork(one, two)
    assert not is_fork(one, one)


def test_a_restored_sheet_goes_on() -> None:
    sheet, other = Sheet(), Sheet()
    closed(sheet, 1)
    sheet.write(receipt(2, sheet=1))
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(sheet.snapshot()), type=SheetSnapshot))
    assert closed(sheet, 3) == closed(other, 3)


# What is not there


@pytest.mark.parametrize("missing", [1, 3, 8])
@pytest.mark.parametrize("others", [(), (5,), (2, 4, 5, 6, 7)])
def test_that_a_receipt_is_missing_can_be_shown(missing: int, others: tuple[int, ...]) -> None:
    root, receipts = closed(Sheet(), *others)
    absence = prove_absent(receipts, "signed", receipt(missing).place)
    assert absence is not None
    assert is_absent(root, absence, receipt(missing).place)


def test_that_a_receipt_is_missing_cannot_be_shown_where_it_is_there() -> None:
    root, receipts = closed(Sheet(), 1, 2, 3, 4)
    place = receipts[1].place
    assert prove_absent(receipts, "signed", place) is None
    proofs: list[Proof | None] = [None, *(prove(receipts, index) for index in range(4))]
    for before in proofs:
        for after in proofs:
            assert not is_absent(root, Absence(root="signed", before=before, after=after), place)
    stranger = prove(receipts, 0), msgspec.structs.replace(prove(receipts, 1), receipt=receipt(9))
    assert not is_absent(root, Absence(root="signed", before=stranger[0], after=stranger[1]), receipt(8).place)


def omission(*sheets: tuple[SheetRoot, list[Receipt]], number: int = 1) -> list[tuple[SheetRoot, Absence]]:
    absences = [(root, prove_absent(receipts, "signed", receipt(number).place)) for root, receipts in sheets]
    return [(root, absence) for root, absence in absences if absence is not None]


def words(sheet: int = 0, due_ms: int = 1_000, epoch: int = 5) -> WordsRoot:
    """A page that was closed while a sheet was open; sheets here are closed in epoch 7."""
    return WordsRoot(page=3, parts=1, merkle_root=HEAD, sheet=sheet, epoch=epoch, closed_ms=100, due_ms=due_ms)


def test_p45_a_result_without_receipt_is_an_omission_that_anybody_can_check() -> None:
    sheet, place = Sheet(), receipt(1).place
    sheets = omission(closed(sheet, 2, at_ms=600), closed(sheet, at_ms=1_200), closed(sheet, 4, 5, at_ms=1_800))
    assert is_omitted(words(), place, sheets)
    assert is_omitted(words(due_ms=1_800), place, sheets)
    assert not is_omitted(words(due_ms=1_801), place, sheets), "it may be on a later sheet"
    assert not is_omitted(words(epoch=6), place, sheets), "the network stood still meanwhile"
    assert not is_omitted(words(), place, sheets[1:]), "the first sheet is held back"
    assert not is_omitted(words(), place, [sheets[0], sheets[2]]), "a sheet between is held back"
    assert not is_omitted(words(), place, [])
    assert not is_omitted(words(), receipt(4).place, sheets), "another run has its receipt"
    stranger = [(root, msgspec.structs.replace(one, before=None, after=None)) for root, one in sheets]
    assert not is_omitted(words(), place, stranger)


def test_p45_a_run_that_has_its_receipt_was_not_omitted() -> None:
    sheet = Sheet()
    sheets = omission(closed(sheet, 2, at_ms=600), closed(sheet, 1, at_ms=1_200), closed(sheet, at_ms=1_800))
    assert len(sheets) == 2
    assert not is_omitted(words(), receipt(1).place, sheets)
