"""`gridlight ledger` and `gridlight receipt`: whoever doubts the books checks them, and needs no network for that."""

from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption
from gridlight.cli.tables import utc_time
from gridlight.client.errors import BadInput, GridlightError
from gridlight.messages.amounts import coins

ledger_app = typer.Typer(help="Check a network's books.")
receipt_app = typer.Typer(help="Check what a network owes a node, offline.")

KeyOption = Annotated[str, typer.Option("--network-key", help="The network's public key: 56 characters, first a U.")]


@ledger_app.callback()
def _ledger() -> None:
    """Check a network's books."""


@receipt_app.callback()
def _receipt() -> None:
    """Check what a network owes a node, offline."""


@ledger_app.command("audit")
def audit(
    data: Annotated[Path | None, typer.Option(help="The network's folder, as of `gridlight up`.")] = None,
    database: Annotated[str | None, typer.Option(help="Its database's URL, where that is elsewhere.")] = None,
    network_key: Annotated[
        str | None, typer.Option(help="Check signatures with this public key; the folder's, if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add all entries again from the first on, and check hashes, balances, receipts and signed roots."""
    from gridlight.adapters.books import Books
    from gridlight.adapters.receipts import ReceiptInvalid
    from gridlight.core.ledger import BooksBroken
    from gridlight.messages.codec import encode

    url, key = _books_of(data, database, network_key)
    books = Books.open(url)
    try:
        report = books.audit(key)
    except (BooksBroken, ReceiptInvalid) as error:
        raise GridlightError(f"the books are not whole: {error}", getattr(error, "hint", "")) from error
    finally:
        books.close()
    if as_json:
        typer.echo(encode(report).decode())
        return
    typer.echo(f"The books are whole: {report.entries} entries, {report.accounts} accounts, head {report.head}.")
    typer.echo(f"{report.sheets} sheets with {report.receipts} receipts; {report.sheets_signed} signatures checked.")
    for account, balance in report.balances.items():
        typer.echo(f"{account:<16} {coins(balance)}")


@receipt_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, as the network gave it out.")],
    network_key: KeyOption,
    as_json: JsonOption = False,
) -> None:
    """Prove that the network signed for a run, with its public key alone."""
    from gridlight.adapters.receipts import ReceiptInvalid, verify_receipt
    from gridlight.messages.codec import encode

    with explaining(ReceiptInvalid):
        verified = verify_receipt(_read(file), network_key)
    if as_json:
        typer.echo(encode(verified).decode())
        return
    receipt, root = verified.receipt, verified.root
    typer.echo(f"Genuine: node {receipt.node} earned {coins(receipt.amount)} coin by attempt {receipt.attempt}.")
    typer.echo(
        f"{receipt.mwu} mWU of {receipt.workload}, for operator {receipt.operator}; the task is {receipt.status}."
    )
    typer.echo(f"On sheet {root.sheet}, which was closed at entry {root.ledger_seq} of the ledger.")


@receipt_app.command("omitted")
def omitted(
    file: Annotated[Path, typer.Argument(help="A proof, as `gridlight node omitted` wrote it.")],
    network_key: KeyOption,
    as_json: JsonOption = False,
) -> None:
    """Prove that the network owes a receipt: its word that the result came in time, and no sheet until it was due."""
    from gridlight.adapters.receipts import ReceiptInvalid
    from gridlight.adapters.words import verify_omission
    from gridlight.messages.codec import encode

    with explaining(ReceiptInvalid):
        words, word, page = verify_omission(_read(file), network_key)
    if as_json:
        told = {"node": words.node, "operator": words.operator, "attempt": word.attempt}
        times = {"given_ms": word.given_ms, "seen_ms": word.seen_ms, "due_ms": page.due_ms}
        typer.echo(encode({**told, **times}).decode())
        return
    typer.echo(f"Omitted: the network owes node {words.node} a receipt for attempt {word.attempt}.")
    typer.echo(
        f"It gave it out {utc_time(word.given_ms)}, had the result {utc_time(word.seen_ms)}, and said that its "
        f"receipt would be there by {utc_time(page.due_ms)}."
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}", "name the file that the network gave out") from error


def _books_of(data: Path | None, database: str | None, network_key: str | None) -> tuple[str, str | None]:
    """The database's URL, and the key that roots are signed with, where it is known."""
    from gridlight.adapters.credentials import NetworkKeys
    from gridlight.services.own_nodes import KEYS_FOLDER, database_file

    if database is not None:
        return database, network_key
    if data is None:
        raise BadInput("which network's books?", "name its folder with --data, or its database with --database")
    file = database_file(data)
    if not file.is_file():
        raise BadInput(f"{data} holds no network's database", "name the folder that was given to `gridlight up --data`")
    if network_key is None and (data / KEYS_FOLDER / "operator.nk").is_file():
        network_key = NetworkKeys.load(data / KEYS_FOLDER).network_public
    return f"sqlite:///{file}", network_key
