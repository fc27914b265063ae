"""What an agent remembers of its operator over a restart."""

from pathlib import Path

from gridlight.core.owner import Word, WordKind
from gridlight.services.agent.keeping import KEPT_FILE, SAVE_EVERY_BYTES, Keeping

MONDAY, TUESDAY = "2026-01-05", "2026-01-06"


def test_an_operator_who_said_nothing_lets_it_run(tmp_path: Path) -> None:
    assert Keeping(tmp_path).word == Word(WordKind.RUN)


def test_the_word_outlives_the_agent(tmp_path: Path) -> None:
    for word in (Word(WordKind.PAUSE, 1_800_000_000), Word(WordKind.PAUSE), Word(WordKind.FINISH), Word()):
        Keeping(tmp_path).say(word)

        assert Keeping(tmp_path).word == word


def test_what_was_moved_is_counted_by_the_day_and_over_a_restart(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path)
    assert keeping.transferred_bytes(MONDAY) == 0
    keeping.add(SAVE_EVERY_BYTES)
    keeping.add(5)

    assert keeping.transferred_bytes(MONDAY) == SAVE_EVERY_BYTES + 5
    assert Keeping(tmp_path).transferred_bytes(MONDAY) == SAVE_EVERY_BYTES, "the rest may be forgotten"
    assert Keeping(tmp_path).transferred_bytes(TUESDAY) == 0


def test_a_word_that_cannot_be_read_pauses_the_node(tmp_path: Path) -> None:
    (tmp_path / KEPT_FILE).write_text("word = 'whatever'\n")

    assert Keeping(tmp_path).word == Word(WordKind.PAUSE)
