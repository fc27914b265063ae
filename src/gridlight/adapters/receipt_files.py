"""A folder of receipts, a file each: named by sheet and place, so that the next fetch goes on after the newest."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gridlight.adapters.receipts import write_receipt
from gridlight.messages.receipts import ReceiptFile

FIRST: Final = "-1.0"
_is_receipt = re.compile(r"([0-9]{9,15})-([0-9]{6})-[0-9a-f]{16}\.receipt").fullmatch


def newest_place(folder: Path) -> str:
    """`SHEET.PLACE` of the newest receipt in the folder; before the first where there is none."""
    found = [match for entry in folder.iterdir() if (match := _is_receipt(entry.name)) is not None]
    places = sorted((int(match[1]), int(match[2])) for match in found)
    return f"{places[-1][0]}.{places[-1][1]}" if places else FIRST


def write_receipts(folder: Path, receipts: Sequence[ReceiptFile]) -> int:
    """Each in its file, whole or not at all; how many."""
    for one in receipts:
        receipt, index = one.proof.receipt, one.proof.index
        file = folder / f"{receipt.sheet:09d}-{index:06d}-{receipt.attempt}.receipt"
        partial = file.with_suffix(".partial")
        partial.write_bytes(write_receipt(one.proof, one.root))
        partial.replace(file)
    return len(receipts)
