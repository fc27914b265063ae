"""The gateway's process: reads its configuration, joins its parts, serves until told to stop."""

import asyncio
import contextlib
import gc
import secrets
import signal
import socket
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog
import uvicorn
import uvloop

from gridlight.adapters.accounts import AccountBook
from gridlight.adapters.blobs import Blobs
from gridlight.adapters.bus import Bus
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.configuration import load_config
from gridlight.adapters.kept_statements import KeptStatements
from gridlight.adapters.ledger_lines import LedgerLines
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.store import Store
from gridlight.messages.ids import GatewayId
from gridlight.services.gateway.accounts import Accounts
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.api import Parts, create_app, picture_reply
from gridlight.services.gateway.config import GatewayConfig
from gridlight.services.gateway.connection import BoundedConnection
from gridlight.services.gateway.control import Control
from gridlight.services.gateway.credits import Credits
from gridlight.services.gateway.detect import DetectRequests
from gridlight.services.gateway.direct import Direct
from gridlight.services.gateway.dispatch import Dispatch
from gridlight.services.gateway.edge import Edge
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.inputs import KeptInputs
from gridlight.services.gateway.jobs import OpenJobs
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.money_api import MoneyParts
from gridlight.services.gateway.offered import Offered
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.payouts import Payouts
from gridlight.services.gateway.pictures import PicturePool
from gridlight.services.gateway.publications import Publications
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.rulings import Rulings
from gridlight.services.gateway.terms import TrustTerms
from gridlight.services.gateway.workload_api import WorkloadParts
from gridlight.workloads.contract import catalogue

CONNECT_S_MAX: Final = 30.0
STOP_S_MAX: Final = 5
KEEP_ALIVE_S: Final = 15
CONNECTIONS_WAITING_MAX: Final = 1_024

_log = structlog.get_logger()


def run(config_path: Path) -> None:
    """Serve until SIGTERM or SIGINT; a lost bus connection or a broken invariant ends the process with an error."""
    assert __debug__, "services refuse to start under -O: their asserts are part of them"
    config = load_config(config_path, GatewayConfig)
    write_json_logs(config.log_file, service="gateway")
    uvloop.run(Gateway(config).serve())


class Gateway:
    """All parts of one process."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._id = GatewayId(f"gw{secrets.token_hex(6)}")
        release = version("gridlight")
        self._metrics = Metrics(release)
        self._clock = SteadyClock(0)
        jobs = OpenJobs()
        self._outbox = Outbox(jobs)
        self._inputs = KeptInputs(self._metrics)
        self._store = Store.open(config.database_url)
        self._books = LedgerLines(config.database_url)
        self._payouts = Payouts(KeptStatements(config.database_url), config.payout_least_units)
        self._offered = Offered(catalogue(), self._store)
        terms = TrustTerms(self._store)
        admin = AdminToken(config.admin_token_file.read_text(encoding="ascii").strip())
        self._accounts = Accounts(AccountBook(config.database_url), admin, self._clock, config.trusted_proxies)
        self._pictures = PicturePool(config.picture_processes, self._metrics)
        enrolments = self._enrolments = Enrolments(
            config, self._id, outbox=self._outbox, workloads=list(catalogue()), metrics=self._metrics
        )
        questions = Questions(self._id, self._outbox)
        self._control = self._join_control(jobs, enrolments, questions, terms)
        parts = Parts(
            version=release,
            catalogue=self._offered,
            jobs=jobs,
            detect=self._join_detect(jobs, questions, terms, admin),
            enrolments=enrolments,
            questions=questions,
            control=self._control,
            pictures=self._pictures,
            store=self._store,
            terms=terms,
            admin=admin,
            accounts=self._accounts,
            money=self._money_parts(questions),
            payouts=self._payouts,
            workloads=self._workload_parts(admin),
            metrics=self._metrics,
            clock=self._clock,
        )
        detect = partial(picture_reply, parts, workload=None)
        self._app = Edge(Direct(create_app(parts), detect), self._metrics)
        self._server: _Server | None = None
        self._failure: BaseException | None = None

    def _join_detect(
        self, jobs: OpenJobs, questions: Questions, terms: TrustTerms, admin: AdminToken
    ) -> DetectRequests:
        return DetectRequests(
            self._id,
            self._offered,
            admin=admin,
            terms=terms,
            jobs=jobs,
            outbox=self._outbox,
            pictures=self._pictures,
            metrics=self._metrics,
            questions=questions,
        )

    def _money_parts(self, questions: Questions) -> MoneyParts:
        return MoneyParts(
            books=self._books,
            credits=Credits(self._books, self._outbox),
            questions=questions,
            payouts=self._payouts,
            network_key=self._config.network_key,
            deposits=self._config.deposits,
        )

    def _workload_parts(self, admin: AdminToken) -> WorkloadParts:
        config = self._config
        publications = Publications(
            config.published_folder,
            Blobs(config.blobs_folder),
            self._offered,
            bytes_max=config.published_bytes_max,
            publishers=config.publishers,
        )
        rulings = Rulings(
            config.network_key,
            catalogue(),
            offered=self._offered,
            publications=publications,
            outbox=self._outbox,
        )
        return WorkloadParts(
            offered=self._offered,
            publications=publications,
            rulings=rulings,
            admin=admin,
            clock=self._clock,
        )

    def _join_control(self, jobs: OpenJobs, enrolments: Enrolments, questions: Questions, terms: TrustTerms) -> Control:
        dispatch = Dispatch(self._id, jobs=jobs, inputs=self._inputs, outbox=self._outbox, metrics=self._metrics)
        return Control(
            self._config.shard,
            self._id,
            jobs=jobs,
            inputs=self._inputs,
            outbox=self._outbox,
            dispatch=dispatch,
            enrolments=enrolments,
            questions=questions,
            terms=terms,
            offered=self._offered,
        )

    async def serve(self) -> None:
        """Until stopped; raises what ended it early."""
        config = self._config
        listener = _listen(config.http_host, config.http_port)
        self._server = _Server(_server_config(self._app))
        bus = await Bus.connect(
            url=config.nats_url,
            name=self._id,
            credentials=config.credentials,
            on_reconnected=self._control.on_reconnected,
            on_closed=self._on_bus_closed,
            on_error=self._on_bus_error,
            connect_timeout_s=CONNECT_S_MAX,
        )
        try:
            await self._control.attach(bus)
            await self._run_parts(listener)
        finally:
            await bus.close()
            self._store.close()
            self._books.close()
            self._payouts.close()
            self._accounts.book.close()
        if self._failure is not None:
            raise self._failure

    async def _run_parts(self, listener: socket.socket) -> None:
        assert self._server is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._pictures.run()),
                group.create_task(self._control.send_events()),
                group.create_task(self._inputs.sweep()),
                group.create_task(self._offered.keep()),
                group.create_task(self._accounts.keep()),
                group.create_task(self._enrolments.attestations.keep()),
            ]
            host, port = listener.getsockname()[:2]
            # What start-up made stays for good: a collection need not look at it again while a request waits.
            gc.collect()
            gc.freeze()
            _log.info("serving", gateway_id=self._id, host=host, port=port)
            await self._server.serve(sockets=[listener])
            _log.info("stopped", gateway_id=self._id)
            for task in background:
                task.cancel()
            await self._accounts.save()

    def stop(self) -> None:
        """Take no more requests, answer those that are open, and end."""
        if self._server is not None:
            self._server.should_exit = True

    async def _on_bus_closed(self) -> None:
        self._failure = ConnectionError("the bus closed our connection for good")
        self.stop()

    def _on_bus_error(self, error: Exception) -> None:
        # A handler's broken invariant is ours, and the process stops; what the server complains of is logged.
        if isinstance(error, AssertionError):
            self._failure = error
            self.stop()


class _Server(uvicorn.Server):
    """uvicorn within our loop: the process handles signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server_config(app: Edge) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=CONNECTIONS_WAITING_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S_MAX,
    )


def _listen(host: str, port: int) -> socket.socket:
    """OSError, before anything else is started, where the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.setblocking(False)
    return listener
