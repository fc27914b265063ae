"""The payer's own books in SQL: the ledger's entries as they were posted, folded again at each start."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, insert, select

from gridlight.adapters.schema import payout_entries
from gridlight.core.ledger import Ledger
from gridlight.messages.ledger import NET_CHAINFEE, Entry, OperatorPart, Posting

_AVAIL: Final = f":{OperatorPart.AVAIL.value}"


class StoredBooks:
    """Books of one writer. A post whose transaction fails leaves them ahead of the disk: end the process then."""

    def __init__(self, engine: Engine) -> None:
        self.ledger: Final = Ledger()
        query = select(payout_entries.c.record).order_by(payout_entries.c.seq)
        with engine.connect() as connection:
            for record in connection.execute(query).scalars():
                self.ledger.add(msgspec.msgpack.decode(record, type=Entry))

    def available(self) -> dict[str, int]:
        """Units by operator, of those who have any."""
        return {
            account[len("op:") : -len(_AVAIL)]: units
            for account, units in self.ledger.balances.items()
            if account.startswith("op:") and account.endswith(_AVAIL)
        }

    def fees(self) -> int:
        """Units that the network has for the chain's fees."""
        return self.ledger.balance(NET_CHAINFEE)

    def post(self, connection: Connection, key: str, postings: Sequence[Posting]) -> None:
        """One entry, in the caller's transaction. The ledger's refusals go through."""
        before = self.ledger.seq
        entry = self.ledger.post(key, postings)
        if entry.seq > before:
            row = {"seq": entry.seq, "key": key, "record": msgspec.msgpack.encode(entry)}
            connection.execute(insert(payout_entries), row)
