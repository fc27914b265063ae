"""A payer's surroundings for tests: keys, books, a clock that is moved by waiting, and what must hold in the end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import tomli_w
from stellar_sdk import Keypair, Payment, TransactionEnvelope
from tests.outside.chain import Chain, is_signed, units_of
from tests.outside.network_ledger import audited_network, fill_network

from gridlight.adapters.chain.horizon import Horizon
from gridlight.adapters.chain.pi_platform import PiPlatform
from gridlight.adapters.chain.transactions import Builder
from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.schema import open_engine
from gridlight.adapters.stored_books import StoredBooks
from gridlight.messages.ledger import EXT_CHAIN, NET_CHAINFEE, NET_FEE, Posting, op_avail, op_inflight
from gridlight.messages.payouts import ChannelRecord, PayoutParameters, Rail
from gridlight.services.payer.feed import LedgerPort
from gridlight.services.payer.payer import Payer
from gridlight.services.payer.signing import Signer
from gridlight.services.payer.statements import KeptWords

PASSPHRASE = "A network of tests"
FEES = 10_000_000
PARAMETERS = PayoutParameters()


def key(name: str) -> Keypair:
    """Always the same for a name."""
    return Keypair.from_raw_ed25519_seed(sha256(name.encode()).digest())


def units_due(number: int) -> int:
    """What an operator is owed: no two the same."""
    return 100_000 + 7 * number


class MovedClock:
    """Waiting moves it, once nothing has happened for a moment."""

    def __init__(self, start_ms: int = 0, pause_s: float = 0.02) -> None:
        self._now_ms = start_ms
        self._pause_s = pause_s

    def now_ms(self) -> int:
        """As moved."""
        return self._now_ms

    async def wait(self, woken: asyncio.Event, timeout_ms: int) -> None:
        """Until woken; else as if that long had passed."""
        try:
            async with asyncio.timeout(self._pause_s):
                await woken.wait()
        except TimeoutError:
            self._now_ms += timeout_ms


class Wallet:
    """A database of one payer, and the keys to go with it: what each of its lives has."""

    def __init__(self, path: Path, *, channels: int = 1, pi: bool = False) -> None:
        self.url = f"sqlite:///{path}"
        self.payer = key("payer")
        self.channel_keys = [key(f"channel {number}") for number in range(channels)] if channels else [self.payer]
        self.pi_key = key("pi") if pi else None
        self.parameters = PARAMETERS

    def builder(self) -> Builder:
        """Of this network. Pi's app pays from its one account."""
        return Builder(PASSPHRASE, (self.pi_key or self.payer).public_key)

    def channels(self) -> list[ChannelRecord]:
        """As they are at first."""
        if self.pi_key is not None:
            return [ChannelRecord(account=self.pi_key.public_key, rail=Rail.PI)]
        return [ChannelRecord(account=one.public_key) for one in self.channel_keys]

    def make_payer(
        self,
        url: str,
        clock: MovedClock,
        *,
        pi_url: str = "",
        reached: Callable[[str], None] = lambda _: None,
        store: PayoutStore | None = None,
        ledger: LedgerPort | None = None,
        words: KeptWords | None = None,
    ) -> tuple[Payer, Callable[[], Awaitable[None]]]:
        """One incarnation, and what closes it."""
        store = store or PayoutStore(open_engine(self.url))
        keys = [self.payer, *self.channel_keys, *([self.pi_key] if self.pi_key else [])]
        signer = Signer(store, self.builder(), {one.public_key: one for one in keys}, self.parameters)
        horizon = Horizon(url, deadline_s=5, submit_deadline_s=5)
        pi = PiPlatform(pi_url, "key of the app", deadline_s=5) if pi_url else None
        payer = Payer(
            store,
            StoredBooks(store.engine),
            builder=self.builder(),
            parameters=self.parameters,
            channels=self.channels(),
            horizon=horizon,
            signer=signer,
            clock=clock,
            pi=pi,
            ledger=ledger,
            words=words,
            reached=reached,
        )

        async def close() -> None:
            store.close()
            await horizon.close()
            if pi is not None:
                await pi.close()

        return payer, close


class Purse(Wallet):
    """A wallet with a chain that its money is on, and operators who are owed some: by its own books, or a network's."""

    def __init__(
        self,
        path: Path,
        operators: int,
        *,
        channels: int = 1,
        pi: bool = False,
        network: str | None = None,
        named: Callable[[int], str] = "OP{}".format,
    ) -> None:
        super().__init__(path, channels=channels, pi=pi)
        self.chain = Chain(PASSPHRASE)
        self.operators = {named(number): key(f"operator {number}").public_key for number in range(operators)}
        self.owed = {operator: units_due(number) for number, operator in enumerate(self.operators)}
        self.start_units = 10**12
        for account in {self.payer, *self.channel_keys, *([self.pi_key] if self.pi_key else [])}:
            self.chain.open_account(account.public_key, self.start_units)
        for address in self.operators.values():
            self.chain.open_account(address, 10_000_000)
        self.network = network
        """The database of the coordinator whose ledger owes; the payer's own books begin empty then."""
        store = PayoutStore.open(self.url)
        if network is None:
            self._fill(store)
        else:
            fill_network(network, self.owed, FEES)
        self._set_addresses(store)
        store.close()

    def _fill(self, store: PayoutStore) -> None:
        books = StoredBooks(store.engine)
        with store.engine.begin() as connection:
            for operator, units in self.owed.items():
                postings = (Posting(EXT_CHAIN, -units), Posting(op_avail(operator), units))
                books.post(connection, f"earned:{operator}", postings)
            fees = (Posting(EXT_CHAIN, -FEES), Posting(NET_CHAINFEE, FEES))
            books.post(connection, "fees", fees)

    def _set_addresses(self, store: PayoutStore) -> None:
        if self.pi_key is not None:
            store.set_addresses({operator: (Rail.PI, f"uid-{operator}") for operator in self.operators})
        else:
            store.set_addresses({operator: (Rail.CHAIN, address) for operator, address in self.operators.items()})

    def check(self, *, unpaid: frozenset[str] = frozenset()) -> None:
        """Each line was paid exactly once, or is back; and books and chain agree to the unit."""
        paid: Counter[str] = Counter()
        fees = 0
        for digest in self.chain.order:
            applied = self.chain.applied[digest]
            fees += applied.fee
            self.check_signed(applied.envelope)
            if applied.is_successful:
                paid.update(operation.destination.account_id for operation in payments(applied.envelope))
        store = PayoutStore(open_engine(self.url))
        own = StoredBooks(store.engine).ledger
        own.check()
        ledger = own if self.network is None else audited_network(self.network)
        for operator, address in self.operators.items():
            is_paid = operator not in unpaid
            assert paid[address] == is_paid, f"{operator} was paid {paid[address]} times"
            assert ledger.balance(op_avail(operator)) == (0 if is_paid else self.owed[operator])
            assert ledger.balance(op_inflight(operator)) == 0
            assert self.network is None or not own.balance(op_avail(operator)) + own.balance(op_inflight(operator))
            if address in self.chain.accounts:
                assert self.chain.accounts[address].units == 10_000_000 + self.owed[operator] * is_paid
        ours = [self.payer, *self.channel_keys, *([self.pi_key] if self.pi_key else [])]
        addresses = {one.public_key for one in ours}
        left = sum(self.start_units - self.chain.accounts[address].units for address in addresses)
        gone = sum(units for operator, units in self.owed.items() if operator not in unpaid)
        assert left == gone + fees
        assert ledger.balance(NET_CHAINFEE) + ledger.balance(NET_FEE) == FEES - fees
        assert ledger.balance(NET_CHAINFEE) == own.balance(NET_CHAINFEE)
        assert store.load().batches == ()
        store.close()

    def check_signed(self, envelope: TransactionEnvelope) -> None:
        """Decoded and verified by stellar-sdk alone."""
        read = TransactionEnvelope.from_xdr(envelope.to_xdr(), PASSPHRASE)
        assert read.hash_hex() == envelope.hash_hex()
        assert is_signed(read, read.transaction.source.account_id)
        assert is_signed(read, self.builder().payer)

    def check_fence(self) -> None:
        """P61: of two transactions of one sequence, the later came after the earlier's time, in a closed ledger."""
        by_sequence: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for at_s, envelope in self.chain.seen.values():
            transaction = envelope.transaction
            assert transaction.preconditions is not None
            assert transaction.preconditions.time_bounds is not None
            fence = (transaction.source.account_id, transaction.sequence)
            by_sequence.setdefault(fence, []).append((at_s, transaction.preconditions.time_bounds.max_time))
        for seals in by_sequence.values():
            seals.sort()
            assert all(one[1] < other[0] for one, other in pairwise(seals))


def payments(envelope: TransactionEnvelope) -> list[Payment]:
    """Its operations, which are payments all."""
    operations = [one for one in envelope.transaction.operations if isinstance(one, Payment)]
    assert len(operations) == len(envelope.transaction.operations)
    assert all(units_of(one.amount) > 0 for one in operations)
    return operations


def configured(purse: Wallet, folder: Path, url: str, *, has_seeds: bool = True, **others: object) -> Path:
    """The file of configuration of `gridlight payouts`; `others` are further keys of it."""
    values: dict[str, object] = {
        "database_url": purse.url,
        "horizon_url": url,
        "payer": purse.payer.public_key,
        "passphrase": PASSPHRASE,
        "channels": [one.public_key for one in purse.channel_keys],
    }
    if has_seeds:
        (folder / "seeds").write_text("\n".join(one.secret for one in [purse.payer, *purse.channel_keys]))
        values["seeds"] = str(folder / "seeds")
    path = folder / "payouts.toml"
    path.write_text(tomli_w.dumps(values | {name: str(value) for name, value in others.items()}))
    return path
