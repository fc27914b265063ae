"""Sheets of receipts: the hash over all of one sheet, proofs that a receipt is on it, and proofs that one is not.

The tree is RFC 6962's: leaves and nodes are hashed with different first bytes, so that neither passes for the other,
and a node without a sibling goes up as it is. Receipts are sorted, so that what is missing can be shown by its
neighbours.
"""

from hashlib import sha256
from itertools import pairwise
from typing import Final

from msgspec import Struct

from gridlight.messages.ledger import GENESIS
from gridlight.messages.receipts import (
    SHEET_RECEIPTS_MAX,
    Absence,
    Dispatched,
    Proof,
    Receipt,
    ResultSeen,
    SheetRoot,
    receipt_bytes,
    root_hash,
)

EMPTY: Final = sha256(b"").hexdigest()
"""The root of a sheet without receipts."""


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
            merkle_root=merkle_root([leaf_hash(receipt) for receipt in receipts]),
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
    return sha256(b"\x00" + receipt_bytes(receipt)).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _level_above(level: list[bytes]) -> list[bytes]:
    paired = [_node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return paired + level[len(paired) * 2 :]


def merkle_root(leaves: list[bytes]) -> str:
    """The hash over leaves, in hexadecimal. O(leaves)."""
    level = leaves
    while len(level) > 1:
        level = _level_above(level)
    return level[0].hex() if level else EMPTY


class Tree:
    """A closed sheet with every hash of it, for who proves many of its receipts. O(receipts) to make and in memory."""

    def __init__(self, receipts: list[Receipt]) -> None:
        self._receipts = receipts
        self._levels = [[leaf_hash(receipt) for receipt in receipts]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    def prove(self, index: int) -> Proof:
        """The way from one of the receipts, in their order, to the root. O(log receipts)."""
        path = tuple(
            level[index >> height ^ 1].hex()
            for height, level in enumerate(self._levels[:-1])
            if index >> height ^ 1 < len(level)
        )
        return Proof(receipt=self._receipts[index], index=index, path=path)


def prove(receipts: list[Receipt], index: int) -> Proof:
    """The way from one of a sheet's receipts, in their order, to the root. O(receipts)."""
    return Tree(receipts).prove(index)


def is_on(root: SheetRoot, proof: Proof) -> bool:
    """Whether the receipt stands on that sheet, at that place. O(log receipts)."""
    if proof.receipt.sheet != root.sheet or proof.index >= root.receipts:
        return False
    node, place, width, path = leaf_hash(proof.receipt), proof.index, root.receipts, list(proof.path)
    while width > 1:
        if place ^ 1 < width:
            if not path:
                return False
            sibling = bytes.fromhex(path.pop(0))
            node = _node_hash(sibling, node) if place & 1 else _node_hash(node, sibling)
        place, width = place >> 1, width + 1 >> 1
    return not path and node.hex() == root.merkle_root


def prove_absent(receipts: list[Receipt], signed_root: str, place: tuple[str, str]) -> Absence | None:
    """The neighbours of what is not there; None where it is there. O(receipts)."""
    index = sum(receipt.place < place for receipt in receipts)
    if index < len(receipts) and receipts[index].place == place:
        return None
    return Absence(
        root=signed_root,
        before=prove(receipts, index - 1) if index else None,
        after=prove(receipts, index) if index < len(receipts) else None,
    )


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


def is_omitted(
    dispatched: Dispatched, seen: ResultSeen, sheets: list[tuple[SheetRoot, Absence]], settled_after_ms: int
) -> bool:
    """Whether the network owes a receipt: it gave the assignment out, had its result in time, and on no sheet from then
    until everything must have been settled is there one. The words and roots are taken to be signed by the network.
    """
    if (dispatched.attempt, dispatched.node) != (seen.attempt, seen.node) or not sheets:
        return False
    roots = [root for root, _ in sheets]
    are_in_line = all(follows(one, other) for one, other in pairwise(roots))
    are_all = roots[0].sheet <= seen.sheet and roots[-1].closed_ms >= seen.at_ms + settled_after_ms
    place = dispatched.operator, dispatched.attempt
    return are_in_line and are_all and all(is_absent(root, absence, place) for root, absence in sheets)
