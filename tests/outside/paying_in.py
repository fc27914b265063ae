"""What tests of deposits need: a wallet on the chain, a network with two accounts, and lives of its watcher."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from stellar_sdk import Account, Asset, TransactionBuilder
from tests.outside.chain import BASE_FEE, Chain
from tests.outside.horizon import Answer
from tests.outside.horizon import Horizon as FakeHorizon
from tests.outside.network_ledger import JournalledLedger, audited_network
from tests.outside.paying import PASSPHRASE, MovedClock, key

from gridlight.adapters.accounts import AccountBook
from gridlight.adapters.chain.addresses import deposit_address
from gridlight.adapters.chain.amounts import to_decimal
from gridlight.adapters.chain.horizon import Horizon
from gridlight.adapters.deposit_store import DepositStore
from gridlight.adapters.network_books import NetworkBooks
from gridlight.messages.accounts import Limits, deposit_number
from gridlight.messages.ids import AccountId
from gridlight.messages.ledger import req_avail
from gridlight.services.payer.deposits import Watcher

WALLET, PAYER, ISSUER = key("wallet"), key("payer"), key("issuer").public_key
CREDITED_S = 2.0


class Killed(BaseException):
    """The process ends here."""


class Rewritten:
    """Answers as `horizon` does, but payments as `rewrite` has them: what a Horizon that lies would say."""

    def __init__(self, horizon: FakeHorizon) -> None:
        self.horizon = horizon
        self.rewrite: Callable[[Answer], Answer] = lambda answer: answer

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """To one call."""
        answer = self.horizon.answer(method, target, body)
        return self.rewrite(answer) if "/payments" in target else answer


def pay(chain: Chain, *payments: tuple[str, int], asset: Asset | None = None, is_path: bool = False) -> str:
    """One real transaction of the wallet's, signed; its hash, once it stands in a closed ledger."""
    source = Account(WALLET.public_key, chain.accounts[WALLET.public_key].sequence)
    builder = TransactionBuilder(source, chain.passphrase, base_fee=BASE_FEE)
    builder.add_time_bounds(0, 0)
    for address, units in payments:
        if is_path:
            coin, amount = Asset.native(), to_decimal(units)
            builder.append_path_payment_strict_receive_op(address, coin, amount, coin, amount, [])
        else:
            builder.append_payment_op(address, asset or Asset.native(), to_decimal(units))
    envelope = builder.build()
    envelope.sign(WALLET)
    assert chain.submit(envelope.to_xdr()) == ""
    chain.close_ledger()
    return envelope.hash_hex()


class Till:
    """One network of two accounts, whose ledger is the real core's on a real journal, and lives of its watcher."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chain(PASSPHRASE)
        for account in (WALLET, PAYER):
            self.chain.open_account(account.public_key, 10**12)
        self.url, self.network_url = f"sqlite:///{folder / 'payer.db'}", f"sqlite:///{folder / 'network.db'}"
        self.accounts = AccountBook(self.network_url)
        self.accounts.migrate()
        self.anna, self.ben = (self.accounts.create(name, Limits(), 1).account_id for name in ("anna", "ben"))
        self.ledger = JournalledLedger(self.network_url)
        self.network = NetworkBooks(self.network_url)
        self.points: list[str] = []
        """Where the last life came by."""

    def close(self) -> None:
        """Let go of the databases."""
        for one in (self.accounts, self.ledger, self.network):
            one.close()

    def address(self, account: AccountId) -> str:
        """Where it is paid in."""
        return deposit_address(PAYER.public_key, deposit_number(account))

    def pay(self, *payments: tuple[str, int], asset: Asset | None = None, is_path: bool = False) -> str:
        """As the function does, on this chain."""
        return pay(self.chain, *payments, asset=asset, is_path=is_path)

    def live(self, url: str, *, dies_at: int = 0, is_from_start: bool = False, deadline_s: float = 5.0) -> bool:
        """One life of the watcher; whether it came to its end, or at this step was killed, the coordinator with it."""
        store, self.points = DepositStore(self.url), []

        def reached(point: str) -> None:
            self.points.append(point)
            if len(self.points) == dies_at:
                raise Killed

        async def run() -> None:
            horizon = Horizon(url, deadline_s=deadline_s)
            watcher = Watcher(
                PAYER.public_key,
                horizon=horizon,
                store=store,
                network=self.network,
                ledger=self.ledger,
                clock=MovedClock(pause_s=0.001),
                random=Random(1),
                is_from_start=is_from_start,
                credited_s_max=CREDITED_S,
                reached=reached,
            )
            try:
                await watcher.run(is_once=True)
            finally:
                await horizon.close()

        self.ledger.reached = reached
        try:
            asyncio.run(run())
        except Killed:
            self.ledger.start_anew()
            return False
        finally:
            store.close()
        return True

    def has(self, account: AccountId) -> int:
        """Units, in books that an audit finds whole, and that are what the core folds from its journal."""
        return audited_network(self.network_url).balance(req_avail(account))
