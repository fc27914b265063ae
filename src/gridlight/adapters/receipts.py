"""Receipts as files, and roots as statements: signs them, and checks them with the network's public key alone."""

from typing import Final, TypeVar

from msgspec import Struct

from gridlight.adapters.signatures import SigningKey, is_public_key
from gridlight.adapters.statements import read_statement, sign_statement
from gridlight.core.receipts import is_absent, is_omitted, is_on
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.receipts import (
    DISPATCH_DOMAIN,
    RESULT_DOMAIN,
    ROOT_DOMAIN,
    Absence,
    Dispatched,
    OmissionProof,
    Proof,
    Receipt,
    ReceiptFile,
    ResultSeen,
    SheetRoot,
)

RECEIPT_FILE_BYTES_MAX: Final = 8_192
OMISSION_BYTES_MAX: Final = 1_048_576

_files: Final[Decoder[ReceiptFile]] = Decoder(ReceiptFile, RECEIPT_FILE_BYTES_MAX)
_omissions: Final[Decoder[OmissionProof]] = Decoder(OmissionProof, OMISSION_BYTES_MAX)
_roots: Final[Decoder[SheetRoot]] = Decoder(SheetRoot)
_dispatched: Final[Decoder[Dispatched]] = Decoder(Dispatched)
_seen: Final[Decoder[ResultSeen]] = Decoder(ResultSeen)


StructT = TypeVar("StructT", bound=Struct)


class ReceiptInvalid(ValueError):
    """A file that should prove something does not."""

    def __init__(self, message: str, hint: str = "ask the node or the network for it again; it may have been altered"):
        super().__init__(message)
        self.hint = hint


class Verified(Struct, frozen=True, kw_only=True):
    """What a file proves: the network signed a sheet on which this receipt stands."""

    receipt: Receipt
    root: SheetRoot


def sign_root(network: SigningKey, root: SheetRoot) -> str:
    """The network's word on a sheet. The same key and root make the same text."""
    return sign_statement(network, ROOT_DOMAIN, root)


def read_root(text: str, network_key: str) -> SheetRoot:
    """What the network signed. ReceiptInvalid where it did not, or not in the one form in which it writes."""
    return _said(text, ROOT_DOMAIN, network_key, _roots)


def write_receipt(proof: Proof, statement: str) -> bytes:
    """The file that a node keeps."""
    return encode(ReceiptFile(proof=proof, root=statement)) + b"\n"


def verify_receipt(data: bytes, network_key: str) -> Verified:
    """What a receipt's file proves; offline. ReceiptInvalid where it proves nothing: one changed byte is enough."""
    _demand_key(network_key)
    try:
        file = _files.decode(data)
    except ProtocolViolation as violation:
        raise ReceiptInvalid(f"this is no receipt: {violation}") from violation
    if write_receipt(file.proof, file.root) != data:
        raise ReceiptInvalid("this is a receipt in another form than the one that was given out")
    root = read_root(file.root, network_key)
    if not is_on(root, file.proof):
        raise ReceiptInvalid(f"sheet {root.sheet}, as the network signed it, does not have this receipt")
    return Verified(receipt=file.proof.receipt, root=root)


def sign_dispatched(network: SigningKey, dispatched: Dispatched) -> str:
    """The network's word that a node was given an assignment."""
    return sign_statement(network, DISPATCH_DOMAIN, dispatched)


def sign_seen(network: SigningKey, seen: ResultSeen) -> str:
    """The network's word that a valid result came in time."""
    return sign_statement(network, RESULT_DOMAIN, seen)


def verify_omission(data: bytes, network_key: str, *, settled_after_ms: int) -> Dispatched:
    """Which run the network owes a receipt for, by its own words. ReceiptInvalid where the file does not show that."""
    _demand_key(network_key)
    try:
        proof = _omissions.decode(data)
    except ProtocolViolation as violation:
        raise ReceiptInvalid(f"this is no proof of an omission: {violation}") from violation
    dispatched = _said(proof.dispatched, DISPATCH_DOMAIN, network_key, _dispatched)
    seen = _said(proof.seen, RESULT_DOMAIN, network_key, _seen)
    sheets: list[tuple[SheetRoot, Absence]] = [(read_root(one.root, network_key), one) for one in proof.absences]
    place = dispatched.operator, dispatched.attempt
    for root, absence in sheets:
        if not is_absent(root, absence, place):
            raise ReceiptInvalid(f"it does not show that sheet {root.sheet} lacks the receipt")
    if not is_omitted(dispatched, seen, sheets, settled_after_ms):
        raise ReceiptInvalid(
            "the words are not of one run, or its sheets are not all there",
            "bring every sheet in a row, from the one that was open when the result came until it had to be settled",
        )
    return dispatched


def _said(text: str, domain: bytes, network_key: str, decoder: Decoder[StructT]) -> StructT:
    try:
        said = read_statement(text, domain, network_key, decoder)
    except ProtocolViolation as violation:
        raise ReceiptInvalid(
            f"the network with this key did not say so: {violation}", "is the key right? a gateway's /v1/trust has it"
        ) from violation
    return said


def _demand_key(network_key: str) -> None:
    if not is_public_key(network_key):
        raise ReceiptInvalid(f"{network_key[:80]!r} is no network's key", "it has 56 characters and starts with U")
