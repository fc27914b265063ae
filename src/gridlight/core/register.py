"""The register: the network's words on runs, and its receipts. What was promised on a page is on a sheet later."""

from msgspec import Struct

from gridlight.core.epochs import commitment
from gridlight.core.ledger import Ledger
from gridlight.core.receipts import Sheet, SheetSnapshot
from gridlight.core.words import Words, WordsSnapshot
from gridlight.messages.ids import AssignmentId, JobId, NodeId, WorkloadId
from gridlight.messages.receipts import Receipt, ReceiptStatus, RecordSheet
from gridlight.messages.trust import EpochBegan
from gridlight.messages.words import RecordWords, Word


class Entitled(Struct, frozen=True, gc=False):
    """Whom a receipt is for, and for what."""

    task: JobId
    attempt: AssignmentId
    node: NodeId
    operator: str
    workload: WorkloadId
    mwu: int


class Register:
    """The open sheet and the open page of one ledger's network."""

    def __init__(self, ledger: Ledger) -> None:
        self.sheet = Sheet()
        self.words = Words()
        self.epoch = 0
        self.next_commitment: str | None = None
        self._ledger = ledger
        self._now_ms = 0
        self._unclaimed: Entitled | None = None
        self._out: list[RecordSheet | RecordWords] = []

    def promise(self, now_ms: int, entitled: Entitled, *, given_ms: int, settles_ms: int) -> None:
        """The network's word that a run came in time, and will have a receipt within so many milliseconds.

        Unless it is claimed within the same event, it came second, or nobody pays for its task.
        """
        self._now_ms, self._unclaimed = now_ms, entitled
        if self.words.is_full:
            self._close_page()
        word = Word(entitled.attempt, given_ms, now_ms)
        self.words.write(entitled.node, entitled.operator, word, due_ms=now_ms + settles_ms)

    def begin(self, now_ms: int) -> None:
        """It is heard what the others made of an event."""
        self._now_ms = now_ms

    def claim(self, attempt: AssignmentId) -> None:
        """What became of a run is known, or will be: it needs no receipt over nothing now."""
        if self._unclaimed is not None and self._unclaimed.attempt == attempt:
            self._unclaimed = None

    def end(self) -> list[RecordSheet | RecordWords]:
        """All was heard: what was closed meanwhile, and a page whose time is over."""
        if self._unclaimed is not None:
            self.write(self._unclaimed, 0, "unpaid")
            self._unclaimed = None
        closes_ms = self.words.closes_ms()
        if closes_ms is not None and self._now_ms >= closes_ms:
            self._close_page()
        closed, self._out = self._out, []
        return closed

    def write(self, entitled: Entitled, amount: int, status: ReceiptStatus) -> None:
        """A receipt, on the sheet that is open or the next."""
        if self.sheet.is_full:
            self._close_sheet()
        self.sheet.write(
            Receipt(
                sheet=self.sheet.number,
                task=entitled.task,
                attempt=entitled.attempt,
                operator=entitled.operator,
                node=entitled.node,
                workload=entitled.workload,
                mwu=entitled.mwu,
                amount=amount,
                status=status,
            )
        )

    def begin_epoch(self, event: EpochBegan) -> None:
        """The sheet is closed."""
        self.epoch, self.next_commitment = event.epoch, commitment(event.next_secret)
        self._close_sheet()

    def _close_sheet(self) -> None:
        """At each epoch's begin, and whenever one is full; after the page, which promises its receipts."""
        if len(self.words):
            self._close_page()
        root, receipts = self.sheet.close(
            self._now_ms,
            ledger_seq=self._ledger.seq,
            ledger_head=self._ledger.head,
            epoch=self.epoch,
            next_commitment=self.next_commitment,
        )
        self._out.append(RecordSheet(root=root, receipts=tuple(receipts)))

    def _close_page(self) -> None:
        self._out.append(self.words.close(self._now_ms, sheet=self.sheet.number, epoch=self.epoch))

    def restore(self, sheet: SheetSnapshot, words: WordsSnapshot, epoch: int, next_commitment: str | None) -> None:
        """Take what snapshots of sheet and page gave."""
        self.sheet.restore(sheet)
        self.words.restore(words)
        self.epoch, self.next_commitment = epoch, next_commitment
