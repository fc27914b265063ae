"""A payer that pays where operators say: their own word first, the newest, and nobody else's."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.outside.horizon import Horizon, Plan, served
from tests.outside.network_ledger import JournalledLedger
from tests.outside.paying import MovedClock, Purse, key

from gridlight.adapters.kept_statements import KeptStatements
from gridlight.adapters.payout_statements import check_payout_statement, state_payout
from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.payout_tables import payout_statements
from gridlight.adapters.schema import open_engine
from gridlight.adapters.signatures import KeyKind, SigningKey
from gridlight.messages.ledger import op_avail, op_inflight
from gridlight.services.payer.payer import Payer
from gridlight.services.payer.statements import REFUSED_AGAIN_MS

NEW, BAD, GIVEN = (key(name).public_key for name in ("new", "bad", "operator 0"))
START_UNITS = 10_000_000


class Killed(Exception):
    """The process ends here."""


def signing(number: int) -> SigningKey:
    """The key of an operator; always the same for a number."""
    return SigningKey(KeyKind.USER, sha256(f"operator's key {number}".encode()).digest())


class Desk:
    """One operator whom an administrator gave an address, a chain with another account, and lives of the payer."""

    def __init__(self, folder: Path, *, network: str | None = None) -> None:
        self.purse = Purse(folder / "payer.db", 1, network=network, named=lambda number: signing(number).public)
        self.purse.chain.open_account(NEW, START_UNITS)
        self.words = KeptStatements(self.purse.url)
        self.clock = MovedClock()
        self.ledger = None if network is None else JournalledLedger(network)
        [(self.operator, self.owed)] = self.purse.owed.items()

    def say(self, address: str | None, serial: int, threshold: int = 1, by: SigningKey | None = None) -> None:
        """As a gateway would keep it; or as one that lies does, who has it signed by another."""
        text = state_payout(by or signing(0), address, threshold=threshold, serial=serial)
        assert self.words.keep(check_payout_statement(text, (by or signing(0)).public), text)

    def live(self, until: str = "never") -> None:
        """One life of the payer, which ends at the latest when this is reached."""

        def reached(point: str) -> None:
            if point == until:
                raise Killed

        async def run() -> None:
            with served(Horizon(self.purse.chain, Plan())) as url:
                payer, close = self.purse.make_payer(
                    url, self.clock, words=self.words, ledger=self.ledger, reached=reached
                )
                try:
                    await self.run(payer)
                finally:
                    await close()

        asyncio.run(run())

    async def run(self, payer: Payer) -> None:
        try:
            await payer.run(is_once=True)
        except* Killed:
            pass

    def got(self, address: str) -> int:
        """Units that came to an address since it was opened."""
        return self.purse.chain.accounts[address].units - START_UNITS

    def asked(self, ask: Callable[[PayoutStore], object]) -> object:
        """Of the payer's tables."""
        store = PayoutStore(open_engine(self.purse.url))
        answer = ask(store)
        store.close()
        return answer

    def log(self) -> list[str]:
        """What the audit log says of addresses, the oldest first."""
        lines = self.asked(lambda store: [one.detail for one in store.actions(1_000) if one.what == "address"])
        assert isinstance(lines, list)
        return lines[::-1]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_operators_own_word_goes_before_an_administrators(desk: Desk) -> None:
    desk.say(NEW, 5)
    desk.live()
    assert (desk.got(NEW), desk.got(GIVEN)) == (desk.owed, 0)
    assert desk.log() == [
        f"{desk.operator}, by an administrator: chain {GIVEN}",
        f"{desk.operator}, by statement 5: {NEW} from 1 units on",
    ]
    desk.live()
    assert len(desk.log()) == 2


def test_whoever_says_nothing_is_paid_where_an_administrator_says(desk: Desk) -> None:
    desk.live()
    assert desk.got(GIVEN) == desk.owed


def test_whoever_wants_nothing_for_now_is_paid_nowhere(desk: Desk) -> None:
    desk.say(None, 5)
    desk.live()
    assert (desk.got(NEW), desk.got(GIVEN)) == (0, 0)
    assert desk.log()[-1] == f"{desk.operator}, by statement 5: nowhere"
    desk.say(NEW, 6)
    desk.live()
    assert desk.got(NEW) == desk.owed


def forge(desk: Desk, text: str, serial: int) -> None:
    """What a gateway that lies could write."""
    with desk.words._engine.begin() as connection:
        row = {"serial": serial, "statement": text}
        connection.execute(update(payout_statements).where(payout_statements.c.operator == desk.operator).values(**row))


def test_a_gateway_that_lies_names_no_address(desk: Desk) -> None:
    desk.say(GIVEN, 5)
    thief = SigningKey.generate()
    for text in (
        state_payout(thief, NEW, threshold=1, serial=6),
        "nonsense",
        state_payout(signing(0), NEW[:-1] + "A", threshold=1, serial=6),
    ):
        forge(desk, text, 6)
        desk.live()
        assert (desk.got(NEW), desk.log()[1:]) == (0, [])
    assert desk.got(GIVEN) == desk.owed, "as an administrator said"


def test_an_old_word_is_not_brought_back(desk: Desk) -> None:
    desk.say(NEW, 5)
    desk.live(until="committed SealBatch")
    forge(desk, state_payout(signing(0), GIVEN, threshold=1, serial=4), 6)
    desk.live()
    assert len(desk.log()) == 2
    assert desk.got(NEW) == desk.owed


def test_a_payout_under_way_goes_where_it_was_sealed_to(desk: Desk) -> None:
    desk.say(GIVEN, 5)
    desk.live(until="committed SealBatch")
    desk.say(NEW, 6)
    desk.live()
    assert (desk.got(GIVEN), desk.got(NEW)) == (desk.owed, 0)
    assert len(desk.log()) == 3


def test_what_a_bad_address_did_not_take_is_paid_at_the_new_one_that_was_named_meanwhile(desk: Desk) -> None:
    desk.say(BAD, 5)
    desk.live(until="committed SealBatch")
    desk.say(NEW, 6)
    desk.live()
    assert desk.asked(PayoutStore.refused) == {}
    desk.live()
    assert desk.got(NEW) == desk.owed


def test_what_took_nothing_is_followed_by_one_try_an_hour(desk: Desk) -> None:
    desk.say(BAD, 5)
    desk.live()
    assert desk.asked(PayoutStore.refused) == {desk.operator: "op_no_destination"}
    desk.say(NEW, 6)
    desk.live()
    assert desk.got(NEW) == 0
    desk.clock = MovedClock(desk.clock.now_ms() + REFUSED_AGAIN_MS)
    desk.live()
    assert desk.got(NEW) == desk.owed
    assert desk.asked(PayoutStore.refused) == {}


def test_less_than_an_operator_wants_at_once_is_not_paid(desk: Desk) -> None:
    desk.say(NEW, 5, threshold=desk.owed + 1)
    desk.live()
    assert desk.got(NEW) == 0
    desk.say(NEW, 6, threshold=desk.owed)
    desk.live()
    assert desk.got(NEW) == desk.owed


def test_words_that_cannot_be_read_change_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.say(NEW, 5)
    desk.live(until="decided PayoutsDue")
    desk.words = KeptStatements(f"sqlite:///{tmp_path / 'nothing.db'}")
    desk.live()
    assert desk.got(NEW) == desk.owed


def test_less_than_an_operator_wants_is_not_held_and_what_was_held_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path, network=f"sqlite:///{tmp_path / 'network.db'}")
    assert desk.ledger is not None

    def balances() -> tuple[int, int]:
        assert desk.ledger is not None
        books = desk.ledger.core.bookkeeping.ledger
        return books.balance(op_avail(desk.operator)), books.balance(op_inflight(desk.operator))

    desk.say(NEW, 5, threshold=desk.owed + 1)
    desk.live()
    assert balances() == (desk.owed, 0)
    desk.say(NEW, 6, threshold=desk.owed)
    desk.live(until="held")
    assert balances() == (0, desk.owed)
    desk.say(NEW, 7, threshold=desk.owed + 1)
    desk.live()
    assert (balances(), desk.got(NEW)) == ((desk.owed, 0), 0)
    desk.say(NEW, 8, threshold=1)
    desk.live()
    assert (balances(), desk.got(NEW)) == ((0, 0), desk.owed)
    desk.ledger.close()
