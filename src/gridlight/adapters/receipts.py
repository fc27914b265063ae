"""Receipts as files, and roots as statements: signs them, and checks them with the network's public key alone."""

from typing import Final, TypeVar

from msgspec import Struct

from gridlight.adapters.signatures import SigningKey, is_public_key
from gridlight.adapters.statements import read_statement, sign_statement
from gridlight.core.receipts import is_on
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.receipts import (
    ROOT_DOMAIN,
    Proof,
    Receipt,
    ReceiptFile,
    SheetRoot,
)

RECEIPT_FILE_BYTES_MAX: Final = 8_192

_files: Final[Decoder[ReceiptFile]] = Decoder(ReceiptFile, RECEIPT_FILE_BYTES_MAX)
_roots: Final[Decoder[SheetRoot]] = Decoder(SheetRoot)


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
    return said(text, ROOT_DOMAIN, network_key, _roots)


def write_receipt(proof: Proof, statement: str) -> bytes:
    """The file that a node keeps."""
    return encode(ReceiptFile(proof=proof, root=statement)) + b"\n"


def verify_receipt(data: bytes, network_key: str) -> Verified:
    """What a receipt's file proves; offline. ReceiptInvalid where it proves nothing: one changed byte is enough."""
    demand_key(network_key)
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


def said(text: str, domain: bytes, network_key: str, decoder: Decoder[StructT]) -> StructT:
    """A statement that the network signed. ReceiptInvalid where it did not."""
    try:
        return read_statement(text, domain, network_key, decoder)
    except ProtocolViolation as violation:
        raise ReceiptInvalid(
            f"the network with this key did not say so: {violation}", "is the key right? a gateway's /v1/trust has it"
        ) from violation


def demand_key(network_key: str) -> None:
    """ReceiptInvalid where this is no key of a network at all."""
    if not is_public_key(network_key):
        raise ReceiptInvalid(f"{network_key[:80]!r} is no network's key", "it has 56 characters and starts with U")
