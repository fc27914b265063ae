"""Pages of words: what is on one can be shown to a stranger, and nothing else can."""

import msgspec
import pytest
from tests.unit.core.world import node_id

from gridlight.core.words import PAGE_MS, Words, WordsSnapshot, is_given, prove_words
from gridlight.messages.ids import AssignmentId
from gridlight.messages.words import RecordWords, Word, WordsFile, words_bytes


def word(number: int, *, at_ms: int = 1_000) -> Word:
    return Word(AssignmentId(f"{number:016x}"), at_ms - 100, at_ms)


def page(*runs: tuple[int, str], words: Words | None = None) -> RecordWords:
    """A page closed at 2,000, of runs of nodes, by their numbers."""
    words = Words() if words is None else words
    for place, (node, operator) in enumerate(runs):
        words.write(node_id(node), operator, word(place), due_ms=9_000 + place)
    return words.close(2_000, sheet=4, epoch=7)


def file(record: RecordWords, index: int) -> WordsFile:
    path = prove_words([words_bytes(part) for part in record.parts], index)
    return WordsFile(words=record.parts[index], index=index, path=path, root="signed")


def test_a_page_has_a_part_for_each_node_and_operator_and_the_latest_due_time_of_its_runs() -> None:
    record = page((2, "ben"), (1, "anna"), (2, "ben"), (2, "carl"))
    told = [(part.node, part.operator, [int(one.attempt, 16) for one in part.words]) for part in record.parts]
    assert told == [(node_id(1), "anna", [1]), (node_id(2), "ben", [0, 2]), (node_id(2), "carl", [3])]
    root = record.root
    assert (root.page, root.parts, root.sheet, root.epoch) == (0, 3, 4, 7)
    assert (root.closed_ms, root.due_ms) == (2_000, 9_003)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_part_of_a_page_can_be_shown_and_no_other(count: int) -> None:
    record = page(*((node, "anna") for node in range(count)))
    other = page((9, "anna")).parts[0]
    for index in range(count):
        shown = file(record, index)
        assert is_given(record.root, shown)
        assert not is_given(record.root, msgspec.structs.replace(shown, words=other))
        assert not is_given(record.root, msgspec.structs.replace(shown, index=index + 1))
        assert not is_given(msgspec.structs.replace(record.root, page=1), shown)


def test_a_page_is_open_from_its_first_word_for_so_long() -> None:
    words = Words()
    assert words.closes_ms() is None
    words.write(node_id(1), "anna", word(1, at_ms=1_000), due_ms=5)
    words.write(node_id(1), "anna", word(2, at_ms=1_500), due_ms=4)
    assert (len(words), words.closes_ms()) == (2, 1_000 + PAGE_MS)
    assert words.close(3_000, sheet=0, epoch=0).root.due_ms == 5
    assert (len(words), words.closes_ms()) == (0, None)
    assert page((1, "anna"), words=words).root.page == 1


def test_a_full_page_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.core.words.PAGE_WORDS_MAX", 1)
    words = Words()
    words.write(node_id(1), "anna", word(1), due_ms=5)
    assert words.is_full
    with pytest.raises(AssertionError):
        words.write(node_id(1), "anna", word(2), due_ms=5)


def test_a_restored_page_goes_on() -> None:
    words, other = Words(), Words()
    page((1, "anna"), words=words)
    for number in (2, 1):
        words.write(node_id(number), "anna", word(number), due_ms=number)
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(words.snapshot()), type=WordsSnapshot))
    assert (other.closes_ms(), len(other)) == (words.closes_ms(), 2)
    for one in (words, other):
        one.write(node_id(2), "anna", word(7), due_ms=1)
    assert words.close(9, sheet=1, epoch=1) == other.close(9, sheet=1, epoch=1)


def test_words_name_no_role() -> None:
    said = msgspec.json.encode(page((1, "anna")))
    assert not any(role in said for role in (b"audit", b"canary", b"primary", b"shadow", b"role", b"reference"))
