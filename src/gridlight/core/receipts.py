"""Sheets of receipts: the hash over all of one sheet, proofs that a receipt is on it, and proofs that one is not.

Receipts are sorted, so that what is missing can be shown by its neighbours.
"""

from bisect import bisect_left
from itertools import pairwise

from msgspec import Struct

from gridlight.core import merkle
from gridlight.messages.ledger import GENESIS
from gridlight.messages.receipts import (
    SHEET_RECEIPTS_MAX,
    Absence,
    Proof,
    Receipt,
    SheetRoot,
    receipt_bytes,
    root_hash,
)
from gridlight.messages.words import DUE_EPOCHS, WordsRoot


class SheetSnapshot(Struct):
    """The state as plain values."""

    number: int
    receipts: list[Receipt]
    prev_root: str


class ReceiptTwice(Exception):
    """A run has a receipt on this sheet already."""


class Sheet:
    """The sheet that is open, and the chain of those before it."""

    def __init__(self) -> None:
        self.number = 0
        self._receipts: dict[tuple[str, str], Receipt] = {}
        self._earned: dict[str, tuple[int, int]] = {}
        self._prev_root = GENESIS

    def __len__(self) -> int:
        """Receipts on the open sheet."""
        return len(self._receipts)

    @property
    def is_full(self) -> bool:
        """Whether it must be closed before a further receipt is written."""
        return len(self._receipts) >= SHEET_RECEIPTS_MAX

    def write(self, receipt: Receipt) -> None:
        """Put a receipt on the sheet. ReceiptTwice where that run has one."""
        assert receipt.sheet == self.number, "a receipt names another sheet than the open one"
        assert not self.is_full
        if receipt.place in self._receipts:
            raise ReceiptTwice(f"attempt {receipt.attempt} has a receipt on sheet {receipt.sheet} already")
        self._receipts[receipt.place] = receipt
        self._count(receipt)

    def earned(self, node: str) -> tuple[int, int]:
        """Of a node's runs on the open sheet those that earned something: how many, and how much."""
        return self._earned.get(node, (0, 0))

    def _count(self, receipt: Receipt) -> None:
        if receipt.amount:
            runs, amount = self.earned(receipt.node)
            self._earned[receipt.node] = runs + 1, amount + receipt.amount

    def close(
        self, now_ms: int, *, ledger_seq: int, ledger_head: str, epoch: int, next_commitment: str | None = None
    ) -> tuple[SheetRoot, list[Receipt]]:
        """The root to be signed, the receipts in their order, and a new sheet is open. O(receipts)."""
        receipts = [self._receipts[place] for place in sorted(self._receipts)]
        root = SheetRoot(
            sheet=self.number,
            receipts=len(receipts),
            merkle_root=merkle.merkle_root([leaf_hash(receipt) for receipt in receipts]),
            prev_root=self._prev_root,
            ledger_seq=ledger_seq,
            ledger_head=ledger_head,
            closed_ms=now_ms,
            epoch=epoch,
            next_commitment=next_commitment,
        )
        self.number += 1
        self._receipts, self._earned = {}, {}
        self._prev_root = root_hash(root)
        return root, receipts

    def snapshot(self) -> SheetSnapshot:
        """The state, to be encoded at once."""
        return SheetSnapshot(self.number, list(self._receipts.values()), self._prev_root)

    def restore(self, snapshot: SheetSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.number, self._prev_root = snapshot.number, snapshot.prev_root
        self._receipts = {receipt.place: receipt for receipt in snapshot.receipts}
        self._earned = {}
        for receipt in snapshot.receipts:
            self._count(receipt)


def leaf_hash(receipt: Receipt) -> bytes:
    """A receipt as it stands in the tree."""
    return merkle.leaf_hash(receipt_bytes(receipt))


class Tree:
    """A closed sheet with every hash of it, for who proves many of its receipts. O(receipts) to make and in memory."""

    def __init__(self, receipts: list[Receipt]) -> None:
        self._receipts = receipts
        self._tree = merkle.Tree([leaf_hash(receipt) for receipt in receipts])

    def prove(self, index: int) -> Proof:
        """The way from one of the receipts, in their order, to the root. O(log receipts)."""
        return Proof(receipt=self._receipts[index], index=index, path=self._tree.path(index))

    def prove_absent(self, signed_root: str, place: tuple[str, str]) -> Absence | None:
        """The neighbours of what is not there; None where it is there. O(log receipts)."""
        receipts = self._receipts
        index = bisect_left(receipts, place, key=lambda receipt: receipt.place)
        if index < len(receipts) and receipts[index].place == place:
            return None
        return Absence(
            root=signed_root,
            before=self.prove(index - 1) if index else None,
            after=self.prove(index) if index < len(receipts) else None,
        )


def prove(receipts: list[Receipt], index: int) -> Proof:
    """The way from one of a sheet's receipts, in their order, to the root. O(receipts)."""
    return Tree(receipts).prove(index)


def is_on(root: SheetRoot, proof: Proof) -> bool:
    """Whether the receipt stands on that sheet, at that place. O(log receipts)."""
    leaf = leaf_hash(proof.receipt)
    is_there = merkle.leads_to(root.merkle_root, leaf, proof.index, root.receipts, proof.path)
    return is_there and proof.receipt.sheet == root.sheet


def prove_absent(receipts: list[Receipt], signed_root: str, place: tuple[str, str]) -> Absence | None:
    """The neighbours of what is not there; None where it is there. O(receipts)."""
    return Tree(receipts).prove_absent(signed_root, place)


def is_absent(root: SheetRoot, absence: Absence, place: tuple[str, str]) -> bool:
    """Whether the sheet has no receipt at this place. The root is the signed one that the absence carries."""
    before, after = absence.before, absence.after
    if before is not None and not (is_on(root, before) and before.receipt.place < place):
        return False
    if after is not None and not (is_on(root, after) and place < after.receipt.place):
        return False
    index = 0 if before is None else before.index + 1
    return index == (root.receipts if after is None else after.index)


def follows(root: SheetRoot, other: SheetRoot) -> bool:
    """Whether `other` is the root that comes after `root`."""
    return other.sheet == root.sheet + 1 and other.prev_root == root_hash(root)


def is_fork(one: SheetRoot, other: SheetRoot) -> bool:
    """Whether the network contradicts itself: two signed roots that cannot both be in one chain."""
    return one != other and (one.sheet == other.sheet or one.prev_root == other.prev_root)


def is_omitted(words: WordsRoot, place: tuple[str, str], sheets: list[tuple[SheetRoot, Absence]]) -> bool:
    """Whether the network owes a receipt: on no sheet, from the one that was open when it gave its word until the one
    by which it had to be there, is there one at this place. Word and roots are taken to be signed by the network.
    """
    if not sheets:
        return False
    roots = [root for root, _ in sheets]
    are_in_line = all(follows(one, other) for one, other in pairwise(roots))
    are_all = roots[0].sheet <= words.sheet and is_overdue(words, roots[-1])
    return are_in_line and are_all and all(is_absent(root, absence, place) for root, absence in sheets)


def is_overdue(words: WordsRoot, root: SheetRoot) -> bool:
    """Whether a receipt that the network gave its word for must be on this sheet or one before it.

    By the clock alone a network that stood still would be held to what it could not do meanwhile: so many epochs
    must have begun, too.
    """
    return root.closed_ms >= words.due_ms and root.epoch >= words.epoch + DUE_EPOCHS
