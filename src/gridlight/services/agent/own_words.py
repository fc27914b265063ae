"""What the network promised this node: takes its words and its receipts, and proves what it did not keep."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.adapters.clock import wall_s
from gridlight.adapters.receipts import ReceiptInvalid, read_root, verify_receipt, write_receipt
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.word_files import Standing, WordFiles
from gridlight.adapters.words import read_page, verify_omission, verify_words, write_omission
from gridlight.core.receipts import is_overdue
from gridlight.messages.ids import AssignmentId
from gridlight.messages.receipts import Absence, ReceiptFile
from gridlight.messages.words import OmissionProof, WordsFile
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused
from gridlight.services.agent.own_books import key_of

_LAST_PLACE: Final = 999_999_999


class Heard(Struct, frozen=True, kw_only=True):
    """What came of asking once."""

    attempts: list[str]
    """Runs on which the network gave its word now."""
    gives_words: bool
    owed: int
    """Runs with a word and no receipt yet."""
    overdue: int
    """And those of them whose receipt should be there."""


class Omission(Struct, frozen=True, kw_only=True):
    """A run that the network owes a receipt for by its own word."""

    attempt: str
    page: int
    due_ms: int
    file: str | None
    """The proof; nothing where the network does not show its sheets, or closed none since."""
    why: str = ""


def take_words(api: GatewayApi, node: SigningKey, files: WordFiles, *, now_ms: int) -> Heard:
    """Ask for receipts and words since the last time, check them, and note what is owed.

    Receipts first: the words on those that came meanwhile are there by the second question. Blocking;
    GatewayUnreachable or GatewayRefused, and ReceiptInvalid where the network shows what it did not sign.
    """
    with files.held() as standing:
        # The first words of all say from which sheet on to look.
        first = [] if standing.receipt else _new_words(api, node, files, standing)[0]
        received = _new_receipts(api, node, standing) if standing.receipt else []
        attempts, gives_words = _new_words(api, node, files, standing)
        for attempt in received:
            standing.owed.pop(attempt, None)
        overdue = sum(due_ms < now_ms for _, due_ms in standing.owed.values())
        return Heard(attempts=first + attempts, gives_words=gives_words, owed=len(standing.owed), overdue=overdue)


class Account(Struct, frozen=True, kw_only=True):
    """How a node stands with the network's words."""

    network_key: str
    gives_words: bool
    waiting: int
    """Runs with a word whose receipt is not due yet."""
    unheard: int
    unheard_ms: int
    omissions: list[Omission]


def settle_account(network_url: str, data: Path, out: Path) -> Account:
    """Ask anew, and prove what is overdue into the folder `out`. Errors as of `take_words`, and ValueError where the
    folder is no node's.
    """
    api, node, files = GatewayApi(network_url), key_of(data), WordFiles(data)
    heard = take_words(api, node, files, now_ms=wall_s() * 1_000)
    omissions = prove_omissions(api, node, files, out, now_ms=wall_s() * 1_000)
    with files.held() as standing:
        return Account(
            network_key=standing.network_key,
            gives_words=heard.gives_words,
            waiting=len(standing.owed) - len(omissions),
            unheard=standing.unheard,
            unheard_ms=standing.unheard_ms,
            omissions=omissions,
        )


def _new_receipts(api: GatewayApi, node: SigningKey, standing: Standing) -> list[str]:
    received: list[str] = []
    while True:
        page = api.receipts(node, standing.receipt)
        for one in page.receipts:
            received.append(_received(one, node, standing.network_key))
            standing.receipt = f"{one.proof.receipt.sheet}.{one.proof.index}"
        if page.next_after in (None, standing.receipt):
            return received
        standing.receipt = str(page.next_after)


def _received(file: ReceiptFile, node: SigningKey, network_key: str) -> str:
    receipt = verify_receipt(write_receipt(file.proof, file.root), network_key).receipt
    if receipt.node != node.public:
        raise ReceiptInvalid(f"the network shows a receipt of node {receipt.node} as this node's")
    return receipt.attempt


def _new_words(api: GatewayApi, node: SigningKey, files: WordFiles, standing: Standing) -> tuple[list[str], bool]:
    attempts: list[str] = []
    while True:
        told = api.words(node, standing.page)
        standing.network_key = standing.network_key or told.network_key
        for file in told.words:
            root = verify_words(file, standing.network_key)
            if file.words.node != node.public:
                raise ReceiptInvalid(f"the network shows words on node {file.words.node} as on this one")
            files.add(file)
            standing.owed |= {word.attempt: (root.page, root.due_ms) for word in file.words.words}
            standing.receipt = standing.receipt or f"{root.sheet - 1}.{_LAST_PLACE if root.sheet else 0}"
            attempts += [word.attempt for word in file.words.words]
            standing.page = max(standing.page, root.page)
        if told.next_after is None or told.next_after < standing.page:
            return attempts, told.newest is not None
        standing.page = told.next_after


def prove_omissions(api: GatewayApi, node: SigningKey, files: WordFiles, out: Path, *, now_ms: int) -> list[Omission]:
    """Of each run whose receipt is overdue: ask the network for it once more, and write a proof that there is none.

    Blocking; errors as of `take_words`, and ReceiptInvalid where a file of the node's was spoiled.
    """
    found: list[Omission] = []
    with files.held() as standing:
        overdue = sorted(
            (page, due_ms, AssignmentId(attempt))
            for attempt, (page, due_ms) in standing.owed.items()
            if due_ms < now_ms
        )
        for page, due_ms, attempt in overdue:
            file = files.find(page, attempt)
            if file is None:
                continue  # its words were lost with their file: nothing can be shown
            proved = _proved(api, node, file, attempt, standing.network_key)
            if isinstance(proved, ReceiptFile):
                del standing.owed[attempt]
                continue
            path = None
            if isinstance(proved, bytes):
                out.mkdir(parents=True, exist_ok=True)
                path = out / f"{attempt}.omission"
                path.write_bytes(proved)
            found.append(
                Omission(
                    attempt=attempt,
                    page=page,
                    due_ms=due_ms,
                    file=None if path is None else str(path),
                    why=proved if isinstance(proved, str) else "",
                )
            )
    return found


def _proved(
    api: GatewayApi, node: SigningKey, file: WordsFile, attempt: AssignmentId, network_key: str
) -> bytes | ReceiptFile | str:
    """A proof; or the receipt, which was there after all; or why there is neither."""
    page, absences, after = read_page(file.root, network_key), list[Absence](), -1
    while True:
        try:
            told = api.absences(node, page.page, attempt, after)
        except GatewayRefused as error:
            return f"the network does not show its sheets: {error}"
        if told.receipt is not None:
            if _received(told.receipt, node, network_key) != attempt:
                return "the network shows another run's receipt"
            return told.receipt
        for absence in told.absences:
            absences.append(absence)
            if is_overdue(page, read_root(absence.root, network_key)):
                proof = write_omission(OmissionProof(attempt=attempt, words=file, absences=tuple(absences)))
                verify_omission(proof, network_key)
                return proof
        if told.next_after is None or told.next_after <= after:
            return "the network has not closed the sheet yet by which the receipt is due"
        after = told.next_after
