"""`gridlight ledger audit` and `gridlight receipt`: what they print, and how they end where something is wrong."""

import json
from functools import partial
from pathlib import Path

import pytest
from tests.unit.adapters.test_words import given, proof_of
from tests.unit.core.test_receipts import closed, receipt

from gridlight.adapters.books import BookChanges, unsigned
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.receipts import sign_root, write_receipt
from gridlight.adapters.schema import migrate, open_engine
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.words import sign_closed
from gridlight.cli.main import main
from gridlight.core.ledger import Ledger
from gridlight.core.receipts import Sheet, prove
from gridlight.messages.ledger import EXT_CHAIN, Posting, RecordEntry, req_avail
from gridlight.messages.receipts import RecordSheet

KEY = SigningKey.generate()


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """How the command ends."""
    monkeypatch.setattr("sys.argv", ["gridlight", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network's folder whose books have one entry and one signed sheet."""
    keys = NetworkKeys(tmp_path / "keys")
    database = tmp_path / "coordinator" / "gridlight.db"
    database.parent.mkdir()
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine)
    ledger, sheet = Ledger(), Sheet()
    entry = ledger.post("deposit:1", [Posting(EXT_CHAIN, -12_345_678), Posting(req_avail("anna"), 12_345_678)])
    sheet.write(receipt(1))
    root, receipts = sheet.close(1, ledger_seq=1, ledger_head=ledger.head, epoch=1)
    record = RecordSheet(root=root, receipts=tuple(receipts))
    with engine.begin() as connection:
        BookChanges(1, [RecordEntry(entry=entry), record], partial(sign_closed, keys._network)).write(connection)
    engine.dispose()
    return tmp_path


def test_whole_books_are_told_in_words_and_in_json(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "ledger", "audit", "--data", network) == 0
    told = capsys.readouterr().out
    assert "The books are whole: 1 entries" in told
    assert "1 sheets with 1 receipts; 1 signatures checked" in told
    assert "req:*:avail      1.2345678" in told
    database = f"sqlite:///{network / 'coordinator' / 'gridlight.db'}"
    assert run(monkeypatch, "ledger", "audit", "--database", database, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["entries"], report["sheets_signed"], report["balances"]["ext:chain"]) == (1, 0, -12_345_678)


def test_books_that_are_not_whole_end_with_an_error(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "ledger", "audit", "--data", network, "--network-key", KEY.public) == 1
    assert "the books are not whole" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("--data", "nowhere")])
def test_whoever_names_no_network_is_told_what_to_name(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "ledger", "audit", *words) == 1
    assert "--data" in capsys.readouterr().err


def test_a_receipt_is_verified_offline_and_an_altered_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, receipts = closed(Sheet(), 1, 2)
    file = tmp_path / "receipt.json"
    file.write_bytes(write_receipt(prove(receipts, 1), sign_root(KEY, root)))
    assert run(monkeypatch, "receipt", "verify", file, "--network-key", KEY.public) == 0
    assert "Genuine: node" in capsys.readouterr().out
    assert run(monkeypatch, "receipt", "verify", file, "--network-key", KEY.public, "--json") == 0
    assert json.loads(capsys.readouterr().out)["receipt"]["amount"] == 1_000
    file.write_bytes(file.read_bytes().replace(b'"amount":1000', b'"amount":1001'))
    assert run(monkeypatch, "receipt", "verify", file, "--network-key", KEY.public) == 1
    assert "does not have this receipt" in capsys.readouterr().err
    assert run(monkeypatch, "receipt", "verify", tmp_path / "none", "--network-key", KEY.public) == 1


def test_an_omission_is_shown_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = Sheet()
    file = tmp_path / "omission.json"
    file.write_bytes(proof_of([closed(sheet, 2, at_ms=600), closed(sheet, at_ms=1_200)], signer=KEY))
    words = ("receipt", "omitted", file, "--network-key", KEY.public)
    assert run(monkeypatch, *words) == 0
    assert "owes node" in capsys.readouterr().out
    assert run(monkeypatch, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["attempt"] == receipt(1).attempt
    early = proof_of([closed(Sheet(), 2, at_ms=600)], signer=KEY, words=given(KEY, due_ms=601))
    file.write_bytes(early)
    assert run(monkeypatch, *words) == 1
    assert "not all there" in capsys.readouterr().err


def test_a_host_without_the_key_signs_nothing() -> None:
    root, _ = closed(Sheet(), 1)
    unsigned(root)
