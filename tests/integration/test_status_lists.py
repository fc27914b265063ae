"""Issuers' status lists over HTTP and HTTPS, from a server of the test's own: read, or left as they were."""

import gzip
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from msgspec import Struct
from tests.outside.reverse_proxy import OPENSSL, self_signed

from gridlight.adapters.clock import wall_s
from gridlight.adapters.issuer import Issuer
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.attestations import STATUS_CHARACTERS_MAX, TrustedIssuer
from gridlight.messages.operators import AttestationsHeld, AttestationsRevoked, Hold
from gridlight.services.gateway import attesting
from gridlight.services.gateway.attesting import LOST_S, STALE_S, Attestations
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.outbox import Outbox

ISS = "https://issuer.example"
NETWORK, REVOKED, OPERATOR = (SigningKey.generate().public for _ in range(3))
NEW_LIST = "/elsewhere"


class Served(Struct):
    """What is answered at `/status.jwt`."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    is_slow: bool = False


class Serving:
    """A server of one list, and what it was asked for."""

    def __init__(self) -> None:
        self.served = Served()
        self.elsewhere = b""
        self.asked: list[str] = []
        self.over = Event()
        serving = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                serving.asked.append(self.path)
                served = serving.served if self.path == "/status.jwt" else Served(body=serving.elsewhere)
                self.send_response(served.status)
                for name, value in served.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                pieces = [served.body] if not served.is_slow else [served.body[:1]] * 100
                for piece in pieces:
                    self.wfile.write(piece)
                    if served.is_slow and serving.over.wait(0.05):
                        return

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        class Listening(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                """Stay silent where somebody hangs up."""

        self.http = Listening(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/status.jwt"

    def behind(self, file: Path, key: Path) -> None:
        """From now on it is HTTPS, with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.http.server_port}/status.jwt"


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    serving = Serving()
    thread = Thread(target=serving.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield serving
    serving.over.set()
    serving.http.shutdown()
    serving.http.server_close()
    thread.join(10)


class Network:
    """A gateway's part, an issuer whom it believes, and one attestation that was taken back."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.issuer = Issuer.create(folder, iss=ISS, status_uri=url)
        self.outbox = Outbox()
        self.words = {one: self.issuer.attest(one, one, network=NETWORK, level=2, days=30, now_s=wall_s())
                      for one in (REVOKED, OPERATOR)}  # fmt: skip
        self.issuer.revoke(REVOKED)
        self.gateway = Attestations(
            (TrustedIssuer(iss=ISS, key=self.issuer.trusted().key, status_uri=url),),
            network=NETWORK,
            is_required=True,
            refresh_s=30,
            outbox=self.outbox,
        )

    def signed(self, *, now_s: int | None = None) -> bytes:
        """The issuer's list as of then."""
        return self.issuer.write_status(now_s=wall_s() if now_s is None else now_s).read_bytes()

    def codes(self) -> list[str]:
        """What becomes of both operators who join now."""
        return [self._code(one) for one in (REVOKED, OPERATOR)]

    def _code(self, operator: str) -> str:
        try:
            self.gateway.checked(self.words[operator], (operator,), wall_s())
        except Refusal as refusal:
            return refusal.code
        return "welcome"


KNOWN = ["ATTESTATION_REVOKED", "welcome"]


@pytest.fixture
def network(tmp_path: Path, serving: Serving) -> Network:
    network = Network(tmp_path / "issuer", serving.url)
    serving.served = Served(body=network.signed())
    return network


async def test_a_list_is_read_over_http_and_what_is_new_in_it_is_told(network: Network, serving: Serving) -> None:
    await network.gateway.refresh()

    assert network.codes() == KNOWN
    assert network.outbox.take() == [
        AttestationsRevoked(issuer=ISS, indices=(0,)),
        AttestationsHeld(issuer=ISS, hold=None),
    ]
    assert serving.asked == ["/status.jwt"]


@pytest.mark.skipif(OPENSSL is None, reason="no openssl to make a certificate with")
@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_list_is_read_over_https_of_whom_the_machine_trusts(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool
) -> None:
    certificate = self_signed(tmp_path, "localhost")
    serving.behind(certificate.file, certificate.key)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    network = Network(tmp_path / "issuer", serving.url)
    serving.served = Served(body=network.signed())

    await network.gateway.refresh()

    assert network.codes() == (KNOWN if is_trusted else ["ATTESTATION_STATUS_UNKNOWN"] * 2)
    assert serving.asked == (["/status.jwt"] if is_trusted else [])


def too_large(network: Network) -> Served:
    return Served(body=network.signed() + b" " * STATUS_CHARACTERS_MAX)


def not_there(network: Network) -> Served:
    return Served(404, network.signed())


def redirected(_network: Network) -> Served:
    return Served(302, headers={"Location": NEW_LIST})


def slow(network: Network) -> Served:
    return Served(body=network.signed(), is_slow=True)


def packed(network: Network) -> Served:
    return Served(body=gzip.compress(network.signed()), headers={"Content-Encoding": "gzip"})


def of_another_key(network: Network) -> Served:
    other = Issuer.create(network.folder / "other", iss=ISS, status_uri=network.issuer.trusted().status_uri)
    return Served(body=other.write_status(now_s=wall_s()).read_bytes())


def expired(network: Network) -> Served:
    return Served(body=network.signed(now_s=wall_s() - 30 * 86_400))


def older(network: Network) -> Served:
    return Served(body=network.signed(now_s=wall_s() - 60))


def of_tomorrow(network: Network) -> Served:
    return Served(body=network.signed(now_s=wall_s() + 86_400))


@pytest.mark.parametrize(
    "answer", [too_large, not_there, redirected, slow, packed, of_another_key, expired, older, of_tomorrow]
)
async def test_what_does_not_count_leaves_the_old_list_standing_until_that_is_too_old(
    answer: Callable[[Network], Served], network: Network, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attesting, "FETCH_S_MAX", 0.5 if answer is slow else 30.0)
    await network.gateway.refresh()
    network.outbox.take()
    assert network.issuer.revoke(OPERATOR), "the next list says more, if anything of it is believed"
    serving.elsewhere = network.signed()
    serving.served = answer(network)

    await network.gateway.refresh()

    assert serving.asked == ["/status.jwt"] * 2, "a redirect is not followed"
    assert network.codes() == KNOWN
    for later_s in (STALE_S, LOST_S):
        network.gateway.tell_ages(wall_s() + later_s + 60)
    held = [AttestationsHeld(issuer=ISS, hold=hold) for hold in (Hold.STATUS_STALE, Hold.STATUS_LOST)]
    assert network.outbox.take() == held
    serving.served = Served(body=network.signed())
    await network.gateway.refresh()
    assert network.codes() == ["ATTESTATION_REVOKED"] * 2, "it is asked again"
