"""A coordinator that is killed again and again while requests are paid for: is any charged twice, or for nothing?

`python -m tests.acceptance.paid_restarts` starts a network of its own and prints a table; a short form is a test.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct
from sqlalchemy import select
from tests.acceptance.stand import Network, gridlight, kill, running

from gridlight.adapters.books import Books
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.schema import commits, jobs, open_engine
from gridlight.core.postings import open_key
from gridlight.messages.jobs import JobState, Outcome
from gridlight.messages.ledger import Entry, req_avail, req_escrow
from gridlight.messages.trust import LAPTOP
from gridlight.services.own_nodes import KEYS_FOLDER, database_file
from gridlight.workloads.contract import catalogue

MWU: Final = 1_250
PRICE_NONE: Final = 1_375
"""A reward of 1,250 units and a tenth for the network."""

GRANTED: Final = 10 * 10_000_000
CALLERS: Final = 4
EPOCH_S: Final = 2
REQUEST_S: Final = 12.0
BACK_S: Final = 40.0
SETTLE_S: Final = (LAPTOP.settle_ms_max + LAPTOP.settle_grace_ms) / 1_000 + 5 * EPOCH_S
"""By then every answer is final or void, as the rules of trust have it, and the network's share is collected."""

LOOK_S: Final = 1.0


def write_prices(file: Path) -> Path:
    """Prices for the network's own detection, and sheets that are closed often enough for a test."""
    workload = next(iter(catalogue()))
    file.write_text(f'epoch_s = {EPOCH_S}\n[money]\n[work]\n"{workload}" = {MWU}\n', encoding="ascii")
    return file


class Told(Struct, frozen=True):
    """What a requester was told of one request."""

    request_id: str
    code: str
    """`done`, or why there is no answer."""


class Load:
    """Callers that pay for each request, one after the other, until they are told to stop."""

    def __init__(self, url: str, key: str, photo: bytes, sampled_share: float, draw: random.Random) -> None:
        self.told: list[Told] = []
        self._headers = {"X-Api-Key": key, "Content-Type": "image/jpeg"}
        self._url = url
        self._photo = photo
        self._sampled_share = sampled_share
        self._draw = draw
        self._is_over = False

    @property
    def answered(self) -> int:
        """Requests that had their answer."""
        return sum(one.code == "done" for one in self.told)

    def stop(self) -> None:
        """What is under way is still waited for."""
        self._is_over = True

    async def run(self) -> None:
        """All callers."""
        async with (
            httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=REQUEST_S) as http,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(CALLERS):
                group.create_task(self._call(http))

    async def _call(self, http: httpx.AsyncClient) -> None:
        while not self._is_over:
            verify = "sampled" if self._draw.random() < self._sampled_share else "none"
            answer = await http.post(
                "/v1/detect", content=self._photo, headers=self._headers, params={"verify": verify}
            )
            said = answer.json()
            if answer.status_code == 200:
                self.told.append(Told(said["id"], "done"))
            else:
                self.told.append(Told(said["error"]["request_id"], said["error"]["code"]))
                await asyncio.sleep(0.1)


class Findings(Struct, frozen=True, kw_only=True):
    """What the books say afterwards; whatever is wrong is named."""

    kills: int
    requests: int
    answered: int
    refused: dict[str, int]
    charged: int
    given_back: int
    charged_untold: int
    """Answers that are on record and were charged, but whose requester was told that the coordinator was away."""
    still_held: int
    entries: int
    receipts: int
    back_s: tuple[float, ...]
    """From each kill to the next answer."""
    wrong: list[str]


async def disturb(network: Network, load: Load, kills: int, draw: random.Random, tell: Any) -> list[float]:
    """Kill the coordinator at random moments of a load that is served; how long until it was served again."""
    back_s: list[float] = []
    for number in range(kills):
        await asyncio.sleep(draw.uniform(0.1, 2.5))
        [pid] = network.process_ids("coordinator")
        before, killed_s = load.answered, time.monotonic()
        kill(pid)
        # Those under way may still be answered: it is served again once all callers have been.
        while load.answered < before + 2 * CALLERS or network.process_ids("coordinator") in ([pid], []):
            assert time.monotonic() < killed_s + BACK_S, f"no answers {BACK_S:g} s after kill {number + 1}"
            await asyncio.sleep(0.05)
        back_s.append(time.monotonic() - killed_s)
        tell(f"kill {number + 1} of {kills}: served again after {back_s[-1]:.1f} s, {len(load.told)} requests so far")
    return back_s


def paying_account(network: Network) -> tuple[str, str]:
    """A new account with money, and its key."""
    made = msgspec.json.decode(gridlight("account", "create", "payer", "--data", network.folder, "--json").stdout)
    account = made["account"]["account_id"]
    granted = gridlight("account", "credit", account, "10", "--key", account, "--data", network.folder)
    assert granted.returncode == 0, granted.stderr
    return account, made["key"]


def kill_under_load(
    network: Network, photo: Path, *, kills: int, sampled_share: float, seed: int, tell: Any = lambda _text: None
) -> Findings:
    """Pay, kill, wait until everything is settled, and examine the books."""
    account, key = paying_account(network)
    draw = random.Random(seed)

    picture = photo.read_bytes()

    async def live() -> tuple[Load, list[float]]:
        load = Load(network.url, key, picture, sampled_share, draw)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            while load.answered < CALLERS:  # noqa: ASYNC110  (asked of another process)
                await asyncio.sleep(0.05)
            back_s = await disturb(network, load, kills, draw, tell)
            load.stop()
        return load, back_s

    load, back_s = asyncio.run(live())
    tell("waiting until every answer is settled")
    held = req_escrow(account)
    books = Books.open(f"sqlite:///{database_file(network.folder)}")
    ends_s = time.monotonic() + SETTLE_S
    while books.ledger().balance(held) and time.monotonic() < ends_s:
        time.sleep(LOOK_S)
    findings = examine(network, books, account, load.told, back_s)
    books.close()
    return findings


def examine(network: Network, books: Books, account: str, told: list[Told], back_s: list[float]) -> Findings:
    """Hold every request against the books, and the books against themselves: an audit raises where they are broken."""
    report = books.audit(NetworkKeys.load(network.folder / KEYS_FOLDER).network_public)
    entries = list(books.entries_after(0))
    ledger = books.ledger()
    outcomes, void = read_models(network)
    own = {entry.key for entry in entries if any(one.account.startswith(f"req:{account}:") for one in entry.postings)}
    opened, paid, refunded = (jobs_of(own, word) for word in ("open", "final", "refund"))
    wrong = [f"{job} was paid and given back" for job in paid & refunded]
    wrong += [f"{job} was settled and never held" for job in (paid | refunded) - opened]
    wrong += [f"{job} was charged without an outcome" for job in paid if outcomes.get(job) is not JobState.DONE]
    wrong += [
        f"{job} was answered and given back"
        for job in refunded
        if outcomes.get(job) is JobState.DONE and job not in void
    ]
    wrong += [f"{one.request_id} was answered and not held for" for one in told if is_free(one, opened)]
    open_jobs = opened - paid - refunded
    wrong += [f"{job} is held for after {SETTLE_S:g} s" for job in open_jobs]
    wrong += conservation(entries, ledger.balance(req_avail(account)), account)
    refusals = Counter(one.code for one in told if one.code != "done")
    return Findings(
        kills=len(back_s),
        requests=len(told),
        answered=sum(one.code == "done" for one in told),
        refused=dict(refusals),
        charged=len(paid),
        given_back=len(refunded),
        charged_untold=len({one.request_id for one in told if one.code != "done"} & paid),
        still_held=len(open_jobs),
        entries=report.entries,
        receipts=report.receipts,
        back_s=tuple(back_s),
        wrong=wrong,
    )


def is_free(one: Told, opened: set[str]) -> bool:
    """Whether a request was answered that nobody's money was held for."""
    return one.code == "done" and one.request_id not in opened


def jobs_of(keys: Iterable[str], word: str) -> set[str]:
    """Of entries `word:JOB`."""
    assert open_key("x") == "open:x"
    return {key.partition(":")[2] for key in keys if key.startswith(f"{word}:")}


def conservation(entries: list[Entry], available: int, account: str) -> list[str]:
    """The account's own lines, added up once more by hand."""
    sums: Counter[str] = Counter()
    for entry in entries:
        for posting in entry.postings:
            sums[posting.account] += posting.amount
    found = [] if sum(sums.values()) == 0 else ["the entries do not add up to nothing"]
    if sums[req_avail(account)] != available or not 0 <= available <= GRANTED:
        found.append(f"the account has {available} and its lines say {sums[req_avail(account)]}")
    return found


def read_models(network: Network) -> tuple[dict[str, JobState], set[str]]:
    """How each job ended, and whose answers came to nothing afterwards."""
    engine = open_engine(f"sqlite:///{database_file(network.folder)}")
    with engine.connect() as connection:
        ended = {
            row.job_id: msgspec.msgpack.decode(row.outcome, type=Outcome).state
            for row in connection.execute(select(jobs.c.job_id, jobs.c.outcome).where(jobs.c.outcome.is_not(None)))
        }
        undone = select(commits.c.job_id).where(commits.c.verification.in_(("void", "corrected")))
        void = set(connection.execute(undone).scalars())
    engine.dispose()
    return ended, void


def main() -> None:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=7)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--sampled-share", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began_s = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.0f} s  {text}", flush=True)

    [photo] = [
        Path(path)
        for path in msgspec.json.decode(gridlight("setup", "--json", timeout_s=170).stdout)["photos"]
        if Path(path).name == "bus.jpg"
    ]
    with tempfile.TemporaryDirectory() as folder:
        prices = write_prices(Path(folder) / "prices.toml")
        with running(Path(folder) / "network", asked.nodes, "--money", str(prices)) as network:
            tell(f"a network of {asked.nodes} nodes is up")
            found = kill_under_load(
                network,
                photo,
                kills=asked.kills,
                sampled_share=asked.sampled_share,
                seed=asked.seed,
                tell=tell,
            )
    for name in found.__struct_fields__:
        value = getattr(found, name)
        if name == "back_s":
            value = f"median {sorted(value)[len(value) // 2]:.1f}, longest {max(value):.1f}" if value else "-"
        tell(f"{name:<16} {value}")
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
