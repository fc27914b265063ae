"""`gridlight operator payout-address`: what is refused before anything is sent, and what is sent."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.outside.horizon import Answer, served
from tests.outside.paying import key
from typer.testing import CliRunner

from gridlight.adapters.payout_statements import check_payout_statement
from gridlight.adapters.signatures import SigningKey, verify
from gridlight.cli import operator_payouts
from gridlight.cli.main import app
from gridlight.client.errors import GridlightError
from gridlight.client.operator_calls import payout_call
from gridlight.messages.amounts import coins
from gridlight.messages.envelope import PAYOUT_ASKED_DOMAIN
from gridlight.messages.operators import PayoutStatement

HERE, THERE = key("here").public_key, key("there").public_key
NOWHERE_LISTENS = "http://127.0.0.1:9"
AHEAD = 2**52


class Gateway:
    """Keeps what it is told, as a gateway does, and looks at each signature."""

    def __init__(self, operator: str) -> None:
        self.operator = operator
        self.stated: list[PayoutStatement] = []

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        if method == "POST":
            return 200, {"nonce": "AAAA", "expires_s": 60}
        assert target == f"/v1/operators/{self.operator}/payout"
        if method == "PUT":
            self.stated.append(check_payout_statement(json.loads(body)["statement"], self.operator))
        last = self.stated[-1] if self.stated else None
        payout = last and {"address": last.address, "threshold": coins(last.threshold), "serial": last.serial}
        return 200, {"operator": self.operator, "payout": payout, "least": "0.0010000"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "operator.nk"
    SigningKey.load_or_create(path)
    return path


def run(file: Path, *words: str, network: str = NOWHERE_LISTENS) -> str:
    """What was printed; what was refused is raised."""
    line = ["operator", "payout-address", *words, "--key", str(file), "--network", network]
    ran = CliRunner().invoke(app, line, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@contextmanager
def listening(file: Path) -> Iterator[tuple[Gateway, str]]:
    gateway = Gateway(SigningKey.load_or_create(file).public)
    with served(gateway) as url:
        yield gateway, url


@pytest.mark.parametrize("has_sdk", [True, False])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((key("here").secret,), "a"),
        (("x",), "an address starts with G or M"),
        ((HERE, "--threshold", "much"), "no amount"),
        ((HERE, "--threshold", "0"), "nobody is paid nothing"),
        ((HERE, "--threshold", "0.00000001"), "no amount"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    file: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, *, has_sdk: bool
) -> None:
    monkeypatch.setattr(operator_payouts, "find_spec", lambda _name: has_sdk or None)
    with pytest.raises(GridlightError, match=said) as refused:
        run(file, *words)
    assert refused.value.hint
    assert key("here").secret not in str(refused.value)


@pytest.mark.parametrize("address", [HERE[:-1], HERE[:-1] + "2", HERE.lower(), HERE + " ", "C" + HERE[1:]])
def test_a_malformed_address_is_refused_before_anything_is_sent(file: Path, address: str) -> None:
    with pytest.raises(GridlightError, match="address") as refused:
        run(file, address)
    assert "copy it whole" in refused.value.hint


def test_what_is_not_named_stays_as_it_was(file: Path) -> None:
    with listening(file) as (gateway, url):
        assert "never said" in run(file, network=url)
        with pytest.raises(GridlightError, match="no address yet"):
            run(file, "--threshold", "2", network=url)
        run(file, HERE, network=url)
        run(file, "--threshold", "2.5", network=url)
        assert f"is paid at {THERE}, from 2.5000000 coin on" in run(file, THERE, network=url)
        assert "paid nothing" in run(file, "none", network=url)
        assert json.loads(run(file, "--json", network=url))["payout"]["threshold"] == "2.5000000"
    said: list[Any] = [(one.address, one.threshold) for one in gateway.stated]
    assert said == [(HERE, 10_000), (HERE, 25_000_000), (THERE, 25_000_000), (None, 25_000_000)]
    serials = [one.serial for one in gateway.stated]
    assert serials == sorted(set(serials))


def test_a_clock_that_went_back_takes_no_word_back(file: Path) -> None:
    with listening(file) as (gateway, url):
        operator = gateway.operator
        gateway.stated.append(PayoutStatement(operator=operator, address=HERE, threshold=7, serial=AHEAD))
        run(file, THERE, network=url)
    assert gateway.stated[-1].serial == AHEAD + 1


def test_it_asks_in_the_operators_name(file: Path) -> None:
    operator = SigningKey.load_or_create(file)
    call = payout_call(operator, "AAAA", operator=operator.public)
    signature = base64.b64decode(call.headers["Gridlight-Signature"])
    assert verify(operator.public, PAYOUT_ASKED_DOMAIN, b"AAAA", signature)


def test_a_network_that_is_not_there_is_said(file: Path) -> None:
    with pytest.raises(GridlightError, match="cannot reach"):
        run(file, HERE)
