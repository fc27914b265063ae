"""`gridlight up`: a whole network on one machine as processes of their own, from one folder.

It makes or takes up the folder's keys, writes each service's configuration, and starts bus, coordinator, gateway and
nodes. `network.json` is there while the network is up, and only then.
"""

import asyncio
import fcntl
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
import tomli_w
from msgspec import Struct

from gridlight.adapters import bus_server
from gridlight.adapters.api_keys import REQUESTER_KEY_FILE, announce_key, withdraw_key
from gridlight.adapters.blobs import cache_folder
from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.signatures import write_secret
from gridlight.messages.api import NodesResponse
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.ids import NodeId
from gridlight.messages.subjects import SHARD_DEFAULT
from gridlight.messages.trust import LAPTOP, PROFILES
from gridlight.services.addresses import BUS_HOST, Addresses, CannotStart, Outside, find_addresses
from gridlight.services.issuers import issuers_of
from gridlight.services.own_account import ensure_account
from gridlight.services.own_nodes import KEYS_FOLDER, OwnNode, database_file, own_nodes
from gridlight.services.own_payer import PAYER_PROGRAMS, own_payer
from gridlight.services.prices import PricesFile, coordinator_keys, gateway_keys
from gridlight.services.setup import ensure_weights
from gridlight.services.supervisor import Program, Supervisor, raise_open_files_max

NODES_MAX: Final = 50
REFERENCES_MAX: Final = 9
READY_TIMEOUT_MS: Final = 80_000
RESTARTS_UNREADY_MAX: Final = 5
"""A process that ends this often before the network was ever ready is not going to come up."""

ENGINE_DEFAULT: Final = "subprocess"
"""What one starts on one's own machine runs first-party code alone; a node that joins by hand takes the strongest."""

NETWORK_FILE: Final = "network.json"
STOP_ORDER: Final = (*PAYER_PROGRAMS, "agent", "gateway", "coordinator", "nats")

_POLL_S: Final = 0.1
_ANSWER_TIMEOUT_S: Final = 5.0
_NODES_BYTES_MAX: Final = 16 * 1024 * 1024
INSIDE_ONLY: Final = Outside()
GRIDLIGHT: Final = (sys.executable, "-m", "gridlight")

_NODE_START: Final = ("node", "start", "--slots", "1", "--always")
"""A network that somebody starts is meant to serve, whatever they do meanwhile."""

_nodes_responses: Final[Decoder[NodesResponse]] = Decoder(NodesResponse, _NODES_BYTES_MAX)
_log = structlog.get_logger()


class ProcessEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process in `network.json`."""

    role: str
    pid: int
    node_id: str | None = None
    data: str | None = None
    is_reference: bool = False


class NetworkEntry(Struct, frozen=True, kw_only=True):
    """`network.json`."""

    url: str
    nats_url: str
    processes: list[ProcessEntry]


def fetch_weights() -> None:
    """Set-up: the first time it fetches, and may take a minute."""
    ensure_weights(_tell)


def run(
    nodes: int,
    data: Path,
    http: str,
    *,
    references: int = 0,
    trust: str = LAPTOP.profile,
    outside: Outside = INSIDE_ONLY,
    engine: str = ENGINE_DEFAULT,
    prices: PricesFile | None = None,
    command: Sequence[str] = GRIDLIGHT,
    set_up: Callable[[], None] = fetch_weights,
) -> None:
    """Serve until SIGINT or SIGTERM, then stop everything in order. CannotStart says what is in the way.

    `trust` names a profile, `engine` what keeps workers in; without `prices` there is no money. `command` starts
    services, `set_up` makes what they need.
    """
    assert 0 <= nodes <= NODES_MAX
    assert 0 <= references <= REFERENCES_MAX
    assert trust in PROFILES
    folder = data.resolve()
    with _locked(folder):
        addresses = find_addresses(folder / "nats", http, outside)
        write_json_logs(folder / "up.jsonl", service="up")
        raise_open_files_max()
        (folder / NETWORK_FILE).unlink(missing_ok=True)  # left by a killed one: its process ids are others' by now
        set_up()
        try:
            keys = NetworkKeys.create(folder / KEYS_FOLDER)
            own = own_nodes(folder, keys, nodes=nodes, references=references)
            network = Network(
                folder, keys, own, trust=trust, engine=engine, prices=prices, addresses=addresses, command=command
            )
            asyncio.run(network.serve())
        finally:
            (folder / NETWORK_FILE).unlink(missing_ok=True)


class Network:
    """The folder's layout and configurations, and the processes that run from it."""

    def __init__(
        self,
        folder: Path,
        keys: NetworkKeys,
        nodes: Sequence[OwnNode],
        *,
        trust: str,
        engine: str,
        prices: PricesFile | None,
        addresses: Addresses,
        command: Sequence[str],
    ) -> None:
        self._command: Final = command
        self._folder: Final = folder
        self._server: Final = bus_server.find_server()
        self._keys: Final = keys
        self._trust: Final = trust
        self._engine: Final = engine
        self._prices: Final = prices
        self._at: Final = addresses
        self._payer: Final = own_payer(folder, keys, addresses.nats_url, self._database_url)
        self._nodes: Final = {node.name: node for node in nodes}
        self._stopping: Final = asyncio.Event()
        self._ready_at_ms: Final = monotonic_ms() + READY_TIMEOUT_MS
        self._is_ready = False

    async def serve(self) -> None:
        """Start, say so when ready, keep running until told to stop, and stop."""
        refusal: CannotStart | None = None
        async with asyncio.TaskGroup() as tasks:
            supervisor = self._supervisor = Supervisor(tasks, self._write_network_file)
            self._listen_for_signals()
            try:
                if await self._is_started():
                    public = f", from elsewhere {self._at.public_url}," if self._at.public_url else ""
                    announce_key(self._at.url, self._key_file)
                    key = f"requests need the API key in {self._key_file}, which `gridlight detect` finds"
                    _say(f"gridlight is ready at {self._at.url}{public} with {self._size()}; {key} (Ctrl-C stops it)")
                    await self._stopping.wait()
            except CannotStart as error:
                refusal = error
            finally:
                withdraw_key(self._at.url)
                _log.info("stopping", refusal=str(refusal))
                await supervisor.stop(STOP_ORDER)
        if refusal is not None:
            raise refusal

    @property
    def _key_file(self) -> Path:
        return self._folder / REQUESTER_KEY_FILE

    def _size(self) -> str:
        references = sum(node.is_reference for node in self._nodes.values())
        size = f"{len(self._nodes) - references} nodes" + (f" and {references} for reference" if references else "")
        return size if self._engine == ENGINE_DEFAULT else f"{size}, workers by {self._engine}"

    def _listen_for_signals(self) -> None:
        def heard() -> None:
            if self._stopping.is_set():  # a second time: the person has lost patience
                self._supervisor.kill()
            self._stopping.set()

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup, to outlive the terminal
            numbers.append(signal.SIGHUP)
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, heard)

    async def _is_started(self) -> bool:
        """Whether all is up; not so where we were told to stop meanwhile."""
        self._supervisor.start(self._bus_program())
        if not await self._comes("the bus", lambda: bus_server.is_ready(BUS_HOST, self._at.bus_port)):
            return False
        coordinator = self._coordinator_program()
        await asyncio.to_thread(ensure_account, self._database_url, self._key_file)
        self._supervisor.start(coordinator)
        self._supervisor.start(self._gateway_program())
        # The machine's proxy, if it has one, has nothing to do with this.
        async with httpx.AsyncClient(base_url=self._at.url, timeout=_ANSWER_TIMEOUT_S, trust_env=False) as http:
            if not await self._comes("the gateway", lambda: _answers_ready(http)):
                return False
            for node in self._nodes.values():
                self._supervisor.start(self._agent_program(node))
            own = {node.node_id for node in self._nodes.values()}
            if not await self._comes("every node", lambda: _are_lending(http, own)):
                return False
        if self._payer is not None:
            told = str(self._configured("payer", self._payer.config))
            for name, word in PAYER_PROGRAMS.items():
                self._supervisor.start(self._program(name, word, "run", "--watch", "--config", told))
        self._is_ready = True
        self._write_network_file()
        return True

    async def _comes(self, what: str, is_there: Callable[[], Awaitable[bool]]) -> bool:
        while not await is_there():
            failing = self._supervisor.failing(RESTARTS_UNREADY_MAX)
            if failing is not None:
                raise CannotStart(f"{failing.name} ends again and again; {_log_end(failing.log_file)}")
            if monotonic_ms() > self._ready_at_ms:
                raise CannotStart(f"{what} did not come up within {READY_TIMEOUT_MS / 1_000:g} s; see {self._folder}")
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return False
        return True

    def _bus_program(self) -> Program:
        folder = self._folder / "nats"
        config = bus_server.write_config(
            folder,
            self._keys,
            host=BUS_HOST,
            port=self._at.bus_port,
            websocket=(self._at.websocket_host, self._at.websocket_port),
        )
        return Program(
            name="nats",
            role="nats",
            command=bus_server.arguments(self._server, config),
            environment=bus_server.ENVIRONMENT,
            log_file=folder / "stderr",
            is_batch=True,
        )

    def _coordinator_program(self) -> Program:
        return self._service(
            "coordinator",
            {
                "shard": SHARD_DEFAULT,
                "nats_url": self._at.nats_url,
                "credentials": self._keys.creds_file("coordinator"),
                "system_credentials": self._keys.creds_file("system"),
                "account": self._keys.account_public,
                "database_url": self._database_url,
                "metrics_port": bus_server.free_port(BUS_HOST),
                "trust": {"profile": self._trust},
                **({} if self._prices is None else coordinator_keys(self._prices, self._keys.folder / "network.nk")),
            },
        )

    def _gateway_program(self) -> Program:
        admin_token = self._keys.folder / "admin.token"
        if not admin_token.exists():
            write_secret(admin_token, secrets.token_urlsafe(32) + "\n")
        return self._service(
            "gateway",
            {
                "shard": SHARD_DEFAULT,
                "nats_url": self._at.nats_url,
                "public_nats_url": self._at.public_nats_url,
                "public_websocket_url": self._at.public_websocket_url,
                "trusted_proxies": list(self._at.trusted_proxies),
                "credentials": self._keys.creds_file("gateway"),
                "node_signer_key": self._keys.node_issuer_file,
                "network_key": self._keys.network_public,
                "database_url": self._database_url,
                "http_host": self._at.http_host,
                "http_port": self._at.http_port,
                "admin_token_file": admin_token,
                "blobs_folder": cache_folder() / "blobs",
                "published_folder": self._folder / "gateway" / "published",
                **issuers_of(self._folder),
                **({} if self._payer is None else self._payer.gateway),
                **({} if self._prices is None else gateway_keys(self._prices)),
            },
        )

    def _agent_program(self, node: OwnNode) -> Program:
        # On this machine the bus is at hand, whatever the gateway tells nodes elsewhere.
        told = ["--network", self._at.url, "--data", str(node.data), "--bus", self._at.nats_url]
        return Program(
            name=node.name,
            role="agent",
            command=[*self._command, *_NODE_START, *told, "--engine", self._engine],
            log_file=node.data / "log.jsonl",
            stop_timeout_s=3.0,
        )

    def _service(self, role: str, config: dict[str, Any]) -> Program:
        return self._program(role, role, "--config", str(self._configured(role, config)))

    def _configured(self, role: str, config: dict[str, Any]) -> Path:
        folder = self._folder / role
        folder.mkdir(exist_ok=True)
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in config.items()}
        path = folder / "config.toml"
        path.write_text(tomli_w.dumps(plain), encoding="utf-8")
        return path

    def _program(self, role: str, *words: str) -> Program:
        log_file = self._folder / role / "log.jsonl"
        return Program(name=role, role=role, command=[*self._command, *words], log_file=log_file, is_batch=True)

    @property
    def _database_url(self) -> str:
        return f"sqlite:///{database_file(self._folder)}"

    def _write_network_file(self) -> None:
        if not self._is_ready:
            return
        running = self._supervisor.process_ids().items()
        # Its readers know the four roles that every network has.
        entries = [self._entry(name, pid) for name, pid in running if name not in PAYER_PROGRAMS]
        text = encode(NetworkEntry(url=self._at.url, nats_url=self._at.nats_url, processes=entries))
        path = self._folder / NETWORK_FILE
        partial = path.with_suffix(".partial")
        partial.write_bytes(text + b"\n")
        partial.replace(path)  # whoever reads it meanwhile has the old one or the new one, whole

    def _entry(self, name: str, pid: int) -> ProcessEntry:
        node = self._nodes.get(name)
        if node is None:
            return ProcessEntry(role=name, pid=pid)
        return ProcessEntry(
            role="agent", pid=pid, node_id=node.node_id, data=str(node.data), is_reference=node.is_reference
        )


async def _answers_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


async def _are_lending(http: httpx.AsyncClient, wanted: set[NodeId]) -> bool:
    try:
        response = await http.get("/v1/nodes")
        nodes = _nodes_responses.decode(response.raise_for_status().content).nodes
    except (httpx.HTTPError, ProtocolViolation):
        return False
    return wanted <= {node.node_id for node in nodes if node.online and node.slots}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder. The lock is the kernel's, so a killed holder leaves none behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(32).strip() or "unknown"
            raise CannotStart(f"{folder} is in use by a running network (process {holder})") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _tell(stage: str, *_: int) -> None:
    sys.stderr.write(f"{stage}\n")


def _log_end(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{path} ends with: {lines[-1][:500]}" if lines else f"{path} is empty"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
