"""Words of the network as files: signs pages, and checks them, and what they prove, with its public key alone."""

from typing import Final

from gridlight.adapters.receipts import ReceiptInvalid, demand_key, read_root, said, sign_root
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import sign_statement, split_statement
from gridlight.core.receipts import is_absent, is_omitted
from gridlight.core.words import is_given
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.receipts import SheetRoot
from gridlight.messages.words import WORDS_DOMAIN, NodeWords, OmissionProof, Word, WordsFile, WordsRoot

WORDS_FILE_BYTES_MAX: Final = 2_097_152
OMISSION_BYTES_MAX: Final = 8_388_608

_files: Final[Decoder[WordsFile]] = Decoder(WordsFile, WORDS_FILE_BYTES_MAX)
_omissions: Final[Decoder[OmissionProof]] = Decoder(OmissionProof, OMISSION_BYTES_MAX)
_roots: Final[Decoder[WordsRoot]] = Decoder(WordsRoot)


def sign_closed(network: SigningKey, root: SheetRoot | WordsRoot) -> str:
    """The network's word on a sheet or a page. The same key and root make the same text."""
    return sign_root(network, root) if isinstance(root, SheetRoot) else sign_statement(network, WORDS_DOMAIN, root)


def read_page(text: str, network_key: str) -> WordsRoot:
    """What the network signed. ReceiptInvalid where it did not."""
    return said(text, WORDS_DOMAIN, network_key, _roots)


def unsealed_page(text: str) -> WordsRoot:
    """What a statement of our own says. ProtocolViolation."""
    return _roots.decode(split_statement(text)[0])


def write_words(file: WordsFile) -> bytes:
    """The file that a node keeps."""
    return encode(file) + b"\n"


def read_words(data: bytes) -> WordsFile:
    """A node's own file, which it checked when it came. ReceiptInvalid where it cannot be read."""
    try:
        return _files.decode(data)
    except ProtocolViolation as violation:
        raise ReceiptInvalid(f"these are no words of a network: {violation}") from violation


def verify_words(file: WordsFile, network_key: str) -> WordsRoot:
    """The page on which these words stand. ReceiptInvalid where the network did not give them."""
    demand_key(network_key)
    root = read_page(file.root, network_key)
    if not is_given(root, file):
        raise ReceiptInvalid(f"page {root.page}, as the network signed it, does not have these words")
    return root


def write_omission(proof: OmissionProof) -> bytes:
    """The file for strangers."""
    return encode(proof) + b"\n"


def verify_omission(data: bytes, network_key: str) -> tuple[NodeWords, Word, WordsRoot]:
    """Whose run, and which, the network owes a receipt for, and its page. ReceiptInvalid where the file does not show
    that; one changed byte is enough.
    """
    demand_key(network_key)
    try:
        proof = _omissions.decode(data)
    except ProtocolViolation as violation:
        raise ReceiptInvalid(f"this is no proof of an omission: {violation}") from violation
    if write_omission(proof) != data:
        raise ReceiptInvalid("this is a proof in another form than the one in which they are written")
    page = verify_words(proof.words, network_key)
    words = proof.words.words
    word = next((one for one in words.words if one.attempt == proof.attempt), None)
    if word is None:
        raise ReceiptInvalid(f"the network gave no word there on {proof.attempt}")
    sheets = [(read_root(one.root, network_key), one) for one in proof.absences]
    place = words.operator, word.attempt
    for root, absence in sheets:
        if not is_absent(root, absence, place):
            raise ReceiptInvalid(f"it does not show that sheet {root.sheet} lacks the receipt")
    if not is_omitted(page, place, sheets):
        raise ReceiptInvalid(
            "its sheets are not all there",
            "bring every sheet in a row, from the one that was open when the result came until it was due",
        )
    return words, word, page
