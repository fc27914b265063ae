"""`gridlight payouts`, as processes: killed at any moment, with its signer apart, and what it says of mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.outside.horizon import Answer, Horizon, Plan, served
from tests.outside.killing import DeadlyHorizon
from tests.outside.paying import Purse, configured, key

from gridlight.adapters.payout_store import PayoutStore
from gridlight.messages.operators import PayoutStatement

MAIN = [sys.executable, "-c", "from gridlight.cli.main import main; main()", "payouts"]


class OnceBroken(Horizon):
    """Its first answer is none."""

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        answered = super().answer(method, target, body)
        self.plan.broken = 0
        return answered


def told(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAIN, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def signing(path: Path, socket: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The signer's process; it must have come up by a minute, and is told to end."""
    with subprocess.Popen([*MAIN, "signer", "--config", path]) as signer:
        try:
            ends_s = time.monotonic() + 60
            while not socket.exists():
                assert signer.poll() is None, f"the signer ended with {signer.returncode} before it listened"
                assert time.monotonic() < ends_s, "the signer does not listen"
                time.sleep(0.05)
            yield signer
        finally:
            signer.send_signal(signal.SIGTERM)


def test_a_payer_that_is_killed_again_and_again_pays_each_line_once(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "payer.db", 450)
    ends_at = [""]
    horizon = DeadlyHorizon(Horizon(purse.chain, Plan()), lambda step: step.startswith(ends_at[0]))
    with served(horizon) as url:
        path = configured(purse, tmp_path, url, signer=tmp_path / "signer.sock")
        with signing(path, tmp_path / "signer.sock") as signer:
            for ends_at[0] in ("did GET /accounts", "heard POST", "did POST", "heard GET /transactions"):
                with subprocess.Popen([*MAIN, "run", "--config", path], stderr=subprocess.DEVNULL) as payer:
                    horizon.pid = payer.pid
                    assert payer.wait(120) == -signal.SIGKILL
            ended = told("run", "--config", path, "--json")
        assert signer.returncode == 0
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert (shown["batches"], shown["inflight_units"], shown["available_units"]) == ({"confirmed": 5}, 0, 0)
    assert json.loads(told("status", "--config", path, "--json").stdout) == shown
    purse.check()
    purse.check_fence()


def test_what_stands_in_the_way_is_said_in_one_line(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "payer.db", 1)
    path = configured(purse, tmp_path, "http://127.0.0.1:9", has_seeds=False)
    os.environ.pop("GRIDLIGHT_PAYER_SEEDS", None)
    for words, said in (
        (("run", "--config", path), "there is no key to sign with"),
        (("signer", "--config", path), "names no socket"),
        (("resume", "--config", path, key("nobody").public_key), "is no channel"),
        (("address", "--config", path, "OP0", purse.payer.public_key[:-1] + "2"), "checksum is wrong"),
    ):
        ended = told(*words)
        assert ended.returncode == 1
        assert said in ended.stderr
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("is_json", [True, False])
def test_a_new_address_is_where_the_next_run_pays(tmp_path: Path, *, is_json: bool) -> None:
    purse = Purse(tmp_path / "payer.db", 1)
    new = key("another").public_key
    purse.chain.open_account(new, 0)
    with served(Horizon(purse.chain, Plan())) as url:
        path = configured(purse, tmp_path, url)
        assert told("address", "--config", path, "OP0", new).returncode == 0
        ended = told("run", "--config", path, *(["--json"] if is_json else []))
    assert ended.returncode == 0
    assert ("1 batches confirmed" in ended.stdout) != is_json
    assert purse.chain.accounts[new].units == purse.owed["OP0"]


def test_what_goes_wrong_on_the_way_is_logged_beside_the_answer(tmp_path: Path) -> None:
    """It stood in the midst of the JSON once."""
    purse = Purse(tmp_path / "payer.db", 1)
    with served(OnceBroken(purse.chain, Plan(broken=100))) as url:
        ended = told("run", "--config", configured(purse, tmp_path, url), "--json")
    assert json.loads(ended.stdout)["batches"] == {"confirmed": 1}
    logged = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert {(one["event"], one["service"]) for one in logged} == {("chain_unseen", "payer")}


def test_an_administrator_is_told_that_an_operators_own_word_goes_first(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "payer.db", 1)
    own, given = key("own").public_key, key("another").public_key
    store = PayoutStore.open(purse.url)
    store.take_over(1, [PayoutStatement(operator="OP0", address=own, threshold=7, serial=1)])
    path = configured(purse, tmp_path, "http://127.0.0.1:9")
    ended = told("address", "--config", path, "OP0", given)
    assert (ended.returncode, "OP0 says where to be paid" in ended.stdout) == (0, True)
    assert [payee.destination for payee in store.payees()] == [own]
    store.close()
