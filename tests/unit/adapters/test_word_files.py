"""A node's folder of words: what is owed is kept, with the words that say so; nothing else, and not without end."""

from pathlib import Path

import msgspec
import pytest
from tests.unit.adapters.test_words import given
from tests.unit.core.test_receipts import receipt

from gridlight.adapters import word_files
from gridlight.adapters.word_files import WordFiles
from gridlight.messages.words import WordsFile

ATTEMPT = receipt(1).attempt


def on_page(number: int) -> WordsFile:
    file = given()
    return msgspec.structs.replace(file, words=msgspec.structs.replace(file.words, page=number))


def names(files: WordFiles) -> list[str]:
    return sorted(path.name for path in files.folder.glob("*.words"))


def test_words_are_kept_while_a_receipt_is_missing(tmp_path: Path) -> None:
    files = WordFiles(tmp_path)
    with files.held() as standing:
        files.add(on_page(3))
        standing.owed[ATTEMPT] = (3, 99)
        standing.page = 3
    assert files.find(3, ATTEMPT) == on_page(3)
    assert files.find(3, "another") is None
    with files.held() as standing:
        assert (standing.owed, standing.page) == ({ATTEMPT: (3, 99)}, 3)
        del standing.owed[ATTEMPT]
    assert (names(files), files.find(3, ATTEMPT)) == ([], None)


def test_what_a_block_that_failed_did_is_not_kept(tmp_path: Path) -> None:
    files = WordFiles(tmp_path)
    with pytest.raises(ZeroDivisionError), files.held() as standing:
        standing.page = 1 // len(standing.owed)
    with files.held() as standing:
        assert standing.page == -1


def test_of_too_much_the_oldest_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_files, "OWED_MAX", 2)
    files = WordFiles(tmp_path)
    with files.held() as standing:
        for page in (5, 4, 6):
            files.add(on_page(page))
            standing.owed[f"of {page}"] = (page, page)
    with files.held() as standing:
        assert sorted(standing.owed) == ["of 5", "of 6"]
    assert [name[:12] for name in names(files)] == ["000000000005", "000000000006"]


def test_spoiled_notes_are_begun_anew(tmp_path: Path) -> None:
    files = WordFiles(tmp_path)
    with files.held() as standing:
        standing.page = 7
    (files.folder / "state.json").write_bytes(b"{")
    with files.held() as standing:
        assert standing.page == -1
