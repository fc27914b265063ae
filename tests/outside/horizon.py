"""Horizon's HTTP API over a chain in memory, as a real server that misbehaves by a seeded plan."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import parse_qs, urlsplit

from stellar_sdk import PathPaymentStrictReceive, Payment
from tests.outside.chain import BASE_FEE, Chain, arriving, result_xdr, source_of, units_of

from gridlight.adapters.chain.amounts import to_decimal

Answer = tuple[int, dict[str, object]]

DROPPED: Answer = (0, {})
"""The connection is closed without a word."""

NOT_FOUND: Answer = (404, {"type": "not_found", "title": "Resource Missing", "status": 404})
TIMED_OUT: Answer = (504, {"type": "timeout", "title": "Timeout", "status": 504})


@dataclass
class Plan:
    """How often it misbehaves, each in per cent of the calls that it fits. Its randomness is a seed's."""

    seed: int = 0
    lost: int = 0
    """504, and the transaction goes nowhere."""
    late: int = 0
    """504, and the transaction applies some ledgers later, if it still can."""
    silent: int = 0
    """The transaction applies, and the connection is closed without a word."""
    lies: int = 0
    """A transaction that stands in a ledger is not found."""
    stale: int = 0
    """An account's sequence is that of one transaction ago."""
    broken: int = 0
    """A read ends in 500, in no JSON, or in a closed connection."""
    late_ledgers_max: int = 200
    is_closing: bool = True
    """Whether a ledger closes at each call."""
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def says(self, per_cent: int) -> bool:
        """Whether to misbehave now."""
        return self.random.randrange(100) < per_cent


class Horizon:
    """What the server answers; one call at a time."""

    def __init__(self, chain: Chain, plan: Plan) -> None:
        self.chain = chain
        self.plan = plan
        self.url = ""
        self.calls: list[str] = []

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """To one call."""
        with self.chain.lock:
            self.calls.append(f"{method} {target}")
            answer = self._submit(parse_qs(body.decode())["tx"][0]) if method == "POST" else self._read(target)
            if self.plan.is_closing:
                self.chain.close_ledger()
            return answer

    def _read(self, target: str) -> Answer:
        path, query = urlsplit(target).path.strip("/").split("/"), parse_qs(urlsplit(target).query)
        if self.plan.says(self.plan.broken):
            broken: list[Answer] = [DROPPED, (500, {}), (200, {"of": "something else"}), (404, {})]
            return self.plan.random.choice(broken)
        match path:
            case ["ledgers"]:
                record = {"closed_at": iso(self.chain.now_s), "base_fee_in_stroops": BASE_FEE}
                return 200, {"_embedded": {"records": [record | {"sequence": self.chain.ledger}]}}
            case ["accounts", address]:
                return self._account(address)
            case ["accounts", address, "payments"]:
                return 200, {"_embedded": {"records": list(self._payments(address, query))}}
            case ["transactions", digest]:
                return self._transaction(digest)
        return NOT_FOUND

    def _account(self, address: str) -> Answer:
        account = self.chain.accounts.get(address)
        if account is None:
            return NOT_FOUND
        sequence = account.sequence - (self.plan.says(self.plan.stale) and bool(self.chain.order))
        balance = {"balance": to_decimal(account.units), "asset_type": "native"}
        return 200, {"id": address, "sequence": str(sequence), "balances": [balance]}

    def _transaction(self, digest: str) -> Answer:
        applied = self.chain.applied.get(digest)
        if applied is None or self.plan.says(self.plan.lies):
            return NOT_FOUND
        return 200, {
            "hash": digest,
            "ledger": applied.ledger,
            "successful": applied.is_successful,
            "fee_charged": str(applied.fee),
            "result_xdr": result_xdr(applied),
        }

    def _payments(self, address: str, query: dict[str, list[str]]) -> Iterator[dict[str, object]]:
        after, left = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        for place, digest in enumerate(self.chain.order, start=1):
            applied = self.chain.applied[digest]
            for index, operation in enumerate(applied.envelope.transaction.operations, start=1):
                number = applied.ledger << 32 | place << 12 | index
                assert isinstance(operation, Payment | PathPaymentStrictReceive)
                target = operation.destination
                if not applied.is_successful or target.account_id != address or number <= after or left == 0:
                    continue
                left -= 1
                kind = "payment" if isinstance(operation, Payment) else "path_payment_strict_receive"
                (asset, amount), source = arriving(operation), source_of(applied.envelope, operation)
                record: dict[str, object] = {"id": str(number), "paging_token": str(number), "type": kind}
                record |= {"transaction_hash": digest, "transaction_successful": True, "asset_type": asset.type}
                record |= {"amount": to_decimal(units_of(amount)), "from": source, "to": address}
                if target.account_muxed_id is not None:
                    record |= {"to_muxed": target.account_muxed, "to_muxed_id": str(target.account_muxed_id)}
                yield record

    def _submit(self, text: str) -> Answer:
        plan, chain = self.plan, self.chain
        if plan.says(plan.lost):
            return plan.random.choice([TIMED_OUT, DROPPED])
        digest = chain.parse(text)[0].hash_hex()
        if digest not in chain.applied:
            is_late = plan.says(plan.late)
            code = chain.submit(text, delay_ledgers=plan.random.randint(1, plan.late_ledgers_max) if is_late else 1)
            if code:
                return refusal(code)
            if is_late:
                return TIMED_OUT
            chain.close_ledger()
        if plan.says(plan.silent):
            return DROPPED
        applied = chain.applied[digest]
        return (200, {"hash": digest}) if applied.is_successful else refusal(applied.code)


def refusal(code: str) -> Answer:
    """As Horizon words it."""
    codes = {"transaction": code}
    return 400, {"type": "transaction_failed", "status": 400, "extras": {"result_codes": codes}}


def iso(seconds: int) -> str:
    """A time in Horizon's form."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def served(answering: "Horizon | object") -> Iterator[str]:
    """The server's URL, while it runs. What answers has `answer(method, target, body)`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers["Content-Length"])))

        def _serve(self, body: bytes) -> None:
            status, document = answering.answer(self.command, self.path, body)  # type: ignore[union-attr]
            if status == 0:
                self.close_connection = True
                return
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # whoever called was killed
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
