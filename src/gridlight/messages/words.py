"""Words: the network's promise of a receipt, given within seconds of a result, and the proof that it was broken.

A page of words names each node's runs whose results came in time, whatever they were for. Its root is signed, so one
signature serves all nodes; a node keeps its own part with the way to the root.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ids import AssignmentIdField, NodeIdField
from gridlight.messages.ledger import AccountIdField, HashField
from gridlight.messages.receipts import PATH_MAX, ROOT_CHARACTERS_MAX, Absence, Number
from gridlight.messages.trust import Millis

PAGE_WORDS_MAX: Final = 16_384
"""On one page; a full one is closed at once."""

DUE_EPOCHS: Final = 2
"""Epochs that must have begun since a word before its receipt is missed."""

ABSENT_SHEETS_MAX: Final = 512
WORDS_DOMAIN: Final = b"gridlight.words.root.v1\0"
_encode = msgspec.json.Encoder().encode


class Word(Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """A run was given to the node, and its result came in time; both on the network's clock."""

    attempt: AssignmentIdField
    given_ms: Millis
    seen_ms: Millis


class NodeWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node's part of a page."""

    page: Number
    node: NodeIdField
    operator: AccountIdField
    """Whose node it was when the results came, and so whom their receipts name."""
    words: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=PAGE_WORDS_MAX)]


class WordsRoot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page, closed: what the network signs."""

    page: Number
    parts: Annotated[int, Meta(ge=1, le=PAGE_WORDS_MAX)]
    merkle_root: HashField
    sheet: Number
    """The sheet of receipts that was open then: none of these runs has a receipt on an earlier one."""
    epoch: Number
    closed_ms: Millis
    due_ms: Millis
    """By when each of these runs must have a receipt."""


class WordsFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node keeps of a page: its part, and the way to the signed root."""

    words: NodeWords
    index: Annotated[int, Meta(ge=0, lt=PAGE_WORDS_MAX)]
    path: Annotated[tuple[HashField, ...], Meta(max_length=PATH_MAX)]
    root: Annotated[str, Meta(max_length=ROOT_CHARACTERS_MAX)]
    """The signed WordsRoot, as statement."""


class OmissionProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the network owes a receipt: its own word, and every sheet until it was due, none of which has it."""

    attempt: AssignmentIdField
    words: WordsFile
    absences: Annotated[tuple[Absence, ...], Meta(min_length=1, max_length=ABSENT_SHEETS_MAX)]


class RecordWords(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="words.record.v1"):
    """To the host: a page is closed; sign its root, and keep it with its parts, in their order."""

    root: WordsRoot
    parts: tuple[NodeWords, ...]


def words_bytes(words: NodeWords) -> bytes:
    """The canonical form: compact JSON, fields in their order."""
    return _encode(words)
