"""The payer's own books in SQL: the ledger's entries as they were posted, folded again at each start."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, func, insert, or_, select

from gridlight.adapters.schema import payout_entries
from gridlight.core.ledger import Ledger
from gridlight.core.payout_postings import CONFIRM, HOLD, RETURN
from gridlight.messages.ledger import NET_CHAINFEE, Entry, OperatorPart, Posting

_KEY: Final = payout_entries.c.key
_IS_HOLD: Final = _KEY.startswith(f"{HOLD}:")
_IS_END: Final = or_(_KEY.startswith(f"{CONFIRM}:"), _KEY.startswith(f"{RETURN}:"))
_AVAIL: Final = f":{OperatorPart.AVAIL.value}"


class StoredBooks:
    """Books of one writer. A post whose transaction fails leaves them ahead of the disk: end the process then."""

    def __init__(self, engine: Engine) -> None:
        self.ledger: Final = Ledger()
        self._engine: Final = engine
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

    def waiting(self) -> int:
        """Operators that are to be paid, or whose payout is on the way."""
        return len({account.split(":")[1] for account in self.ledger.balances if account.startswith("op:")})

    def holds(self) -> int:
        """How often something came in that the network's ledger holds."""
        return self._count(_IS_HOLD)

    def ends(self) -> int:
        """Entries by which something left these books."""
        return self._count(_IS_END)

    def end(self, number: int) -> Entry:
        """The one of this number, from 1 on."""
        query = select(payout_entries.c.record).where(_IS_END).order_by(payout_entries.c.seq)
        with self._engine.connect() as connection:
            record = connection.execute(query.offset(number - 1).limit(1)).scalar_one()
        return msgspec.msgpack.decode(record, type=Entry)

    def _count(self, kind: ColumnElement[bool]) -> int:
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).where(kind)).scalar_one()

    def post(self, connection: Connection, key: str, postings: Sequence[Posting]) -> None:
        """One entry, in the caller's transaction. The ledger's refusals go through."""
        before = self.ledger.seq
        entry = self.ledger.post(key, postings)
        if entry.seq > before:
            row = {"seq": entry.seq, "key": key, "record": msgspec.msgpack.encode(entry)}
            connection.execute(insert(payout_entries), row)
