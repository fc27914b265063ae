"""A folder of receipts: written once each, and the next fetch goes on after the newest."""

from pathlib import Path

from tests.unit.core.test_receipts import closed

from gridlight.adapters.receipt_files import FIRST, newest_place, write_receipts
from gridlight.adapters.receipts import sign_root, verify_receipt
from gridlight.adapters.signatures import SigningKey
from gridlight.core.receipts import Sheet, Tree
from gridlight.messages.receipts import ReceiptFile

KEY = SigningKey.generate()


def test_receipts_are_files_that_prove_themselves_and_say_where_to_go_on(tmp_path: Path) -> None:
    root, receipts = closed(Sheet(), 1, 2, 3)
    tree, statement = Tree(receipts), sign_root(KEY, root)
    (tmp_path / "notes.txt").write_text("mine")
    assert newest_place(tmp_path) == FIRST

    count = write_receipts(tmp_path, [ReceiptFile(proof=tree.prove(index), root=statement) for index in (2, 0)])

    files = sorted(tmp_path.glob("*.receipt"))
    assert count == len(files) == 2
    assert newest_place(tmp_path) == "0.2"
    assert [verify_receipt(file.read_bytes(), KEY.public).receipt for file in files] == [receipts[0], receipts[2]]
    assert not list(tmp_path.glob("*.partial"))
