"""Receipts: what a node earned by one run, provable with the network's public key and nothing else.

Receipts are gathered on sheets. A sheet's root is a hash over all of them, signed by the network, and names the root
before it; so a receipt that was once given out cannot be denied, nor a sheet exchanged, without two signed roots that
contradict each other.
"""

from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ids import AssignmentIdField, JobIdField, NodeIdField, WorkloadIdField
from gridlight.messages.ledger import AccountIdField, HashField, Price
from gridlight.messages.trust import Commitment, Millis

SHEET_RECEIPTS_MAX: Final = 131_072
PATH_MAX: Final = 17
"""Hashes from a receipt to its root: two to this power is the most that a sheet holds."""

ROOT_CHARACTERS_MAX: Final = 1_024
ROOT_DOMAIN: Final = b"gridlight.sheet.root.v1\0"

ReceiptStatus = Literal["final", "corrected", "void", "unpaid"]
Number = Annotated[int, Meta(ge=0, lt=2**53)]
_encode = msgspec.json.Encoder().encode


class Receipt(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """One run. It does not say what the run was for: a check earns what a served answer does."""

    sheet: Number
    task: JobIdField
    attempt: AssignmentIdField
    operator: AccountIdField
    node: NodeIdField
    workload: WorkloadIdField
    mwu: Number
    """Thousandths of a work unit, as the workload says."""
    amount: Price
    """Units of 1e-7 coin."""
    status: ReceiptStatus
    """What became of the task. A run that was wrong, or of a task that is void, is on record with nothing earned; so is
    one that nobody pays for, or not yet: then a second receipt says what it earned once it is paid.
    """

    @property
    def place(self) -> tuple[str, str]:
        """What receipts of a sheet are sorted by; no two have the same."""
        return self.operator, self.attempt


class SheetRoot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sheet, closed: what the network signs, and publishes."""

    sheet: Number
    receipts: Annotated[int, Meta(ge=0, le=SHEET_RECEIPTS_MAX)]
    merkle_root: HashField
    prev_root: HashField
    """The hash of the root before it; zeros for the first."""
    ledger_seq: Number
    ledger_head: HashField
    """The newest entry of the ledger when the sheet was closed: the signature binds the books, too."""
    closed_ms: Millis
    epoch: Number
    next_commitment: Commitment | None = None
    """To the secret of the epoch after this one."""


class Proof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt, and the way from it to its sheet's root."""

    receipt: Receipt
    index: Annotated[int, Meta(ge=0, lt=SHEET_RECEIPTS_MAX)]
    path: Annotated[tuple[HashField, ...], Meta(max_length=PATH_MAX)]


class ReceiptFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node keeps of a run; a file of one line."""

    proof: Proof
    root: Annotated[str, Meta(max_length=ROOT_CHARACTERS_MAX)]
    """The signed SheetRoot, as statement."""


class Absence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a sheet has no receipt at a place: the two that stand next to each other where it would be."""

    root: Annotated[str, Meta(max_length=ROOT_CHARACTERS_MAX)]
    before: Proof | None = None
    """Nothing where it would be the first."""
    after: Proof | None = None


def receipt_bytes(receipt: Receipt) -> bytes:
    """The canonical form: compact JSON, fields in their order."""
    return _encode(receipt)


def root_hash(root: SheetRoot) -> str:
    """What the next root names."""
    return sha256(ROOT_DOMAIN + _encode(root)).hexdigest()


class RecordSheet(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="sheet.record.v1"):
    """To the host: a sheet is closed; sign its root, and keep it with its receipts, in their order."""

    root: SheetRoot
    receipts: tuple[Receipt, ...]
