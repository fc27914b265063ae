"""Payout statements and whom they say is paid where, in SQLite and in a real PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.databases import NewDatabase
from tests.outside.paying import key

from gridlight.adapters.kept_statements import KeptStatements
from gridlight.adapters.payout_statements import state_payout
from gridlight.adapters.payout_store import Payee, PayoutStore
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.operators import PayoutStatement
from gridlight.messages.payouts import Rail, RecordAction, RefuseAddress

HERE, THERE = key("here").public_key, key("there").public_key
GATEWAYS, EACH = 3, 8


def statement(operator: str, address: str | None, serial: int, threshold: int = 7) -> PayoutStatement:
    return PayoutStatement(operator=operator, address=address, threshold=threshold, serial=serial)


def test_of_what_several_gateways_are_told_at_once_the_newest_stands(new_database: NewDatabase) -> None:
    url, operator = new_database(), SigningKey.generate()
    PayoutStore.open(url).close()

    def tell(gateway: int) -> list[int]:
        kept = KeptStatements(url)
        serials = [number * GATEWAYS + gateway for number in range(EACH)]
        texts = {serial: state_payout(operator, HERE, threshold=1, serial=serial) for serial in serials}
        taken = [one for one in serials if kept.keep(statement(operator.public, HERE, one), texts[one])]
        kept.close()
        return taken

    with ThreadPoolExecutor(GATEWAYS) as threads:
        taken = list(threads.map(tell, range(GATEWAYS)))
    kept, newest = KeptStatements(url), GATEWAYS * EACH - 1
    assert newest in taken[-1]
    assert kept.serials() == {operator.public: newest}
    assert kept.texts([operator.public, "somebody"]) == [
        (operator.public, state_payout(operator, HERE, threshold=1, serial=newest))
    ]
    assert not kept.knows(operator.public)
    kept.close()


@pytest.fixture
def store(new_database: NewDatabase) -> Iterator[PayoutStore]:
    store = PayoutStore.open(new_database())
    yield store
    store.close()


def test_whoever_says_so_is_paid_there_and_else_where_an_administrator_says(store: PayoutStore) -> None:
    store.set_addresses({"anna": (Rail.CHAIN, THERE), "ben": (Rail.CHAIN, THERE), "carl": (Rail.PI, "uid-carl")})
    assert store.log_given(1)
    assert not store.log_given(2)
    store.take_over(3, [statement("anna", HERE, 5), statement("dora", HERE, 5), statement("carl", None, 5)])

    own = [Payee(name, Rail.CHAIN, HERE, 7) for name in ("anna", "dora")]
    assert store.payees() == [own[0], Payee("ben", Rail.CHAIN, THERE, 0), own[1]]
    assert [one.what for one in store.actions(10)] == ["address"] * 6


def test_only_the_address_that_took_nothing_is_refused(store: PayoutStore) -> None:
    store.set_addresses({"anna": (Rail.CHAIN, THERE), "ben": (Rail.CHAIN, THERE), "carl": (Rail.PI, "uid-carl")})
    store.take_over(1, [statement("anna", HERE, 5), statement("dora", HERE, 5)])

    def refuse(operator: str, destination: str, rail: Rail = Rail.CHAIN) -> None:
        effect = RefuseAddress(operator=operator, destination=destination, reason="no", rail=rail)
        done = RecordAction(action="dropped", channel="")
        store.commit(1, [effect, done], books=None, build=None)  # type: ignore[arg-type]

    refuse("anna", THERE)
    refuse("dora", HERE)
    refuse("ben", HERE)
    refuse("carl", THERE, Rail.PI)
    assert store.refused() == {"dora": "no", "carl": "no"}
    assert [one.operator for one in store.payees()] == ["anna", "ben"]
