"""Looks a node's set-up over: sees each thing, lets the core judge it, and looks no further where the way ends."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gridlight.adapters.blobs import cache_folder
from gridlight.adapters.clock import wall_s
from gridlight.adapters.endorsements import ENDORSEMENT_FILE, BadEndorsement, read_endorsement
from gridlight.adapters.node_folder import LOCK_FILE, NODE_KEY_FILE, kept_issuer
from gridlight.adapters.proxies import proxy_for
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.survey import machine, network
from gridlight.adapters.word_files import Standing, WordFiles
from gridlight.core import checkup
from gridlight.core.checkup import BusSeen, Finding, GatewaySeen, KeySeen, Level
from gridlight.messages.api import NetworkResponse
from gridlight.messages.control import AskStatus, NodeStatus
from gridlight.messages.ids import NodeId
from gridlight.services.agent.control import NoAgent, Refused, ask
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, NotAGateway
from gridlight.workloads.contract import catalogue

_MIB: Final = 1024 * 1024
_ENDS_THE_WAY: Final = ("proxy", "name", "certificate", "gateway")
"""What lies behind these is not seen where they fail, and so not blamed."""


def examine(network_url: str | None, folder: Path) -> list[Finding]:
    """All that can be found out now, the machine first. Changes nothing; takes some seconds where lines are dead."""
    is_running = machine.is_held(folder / LOCK_FILE)
    key = machine.see_key(folder / NODE_KEY_FILE)
    findings = [*_machine(folder, key, is_running=is_running), checkup.check_network(network_url)]
    if network_url is not None:
        for finding in _way(network_url, folder, key, is_running=is_running):
            findings.append(finding)
            if finding.level is Level.PROBLEM and finding.check in _ENDS_THE_WAY:
                break
    return findings


def _machine(folder: Path, key: KeySeen, *, is_running: bool) -> Iterator[Finding]:
    own, models = machine.see_folder(folder), cache_folder() / "blobs"
    yield checkup.check_folder(own, is_in_use=is_running)
    cache = machine.see_folder(models)
    if cache.error is not None:
        yield checkup.check_folder(cache, is_in_use=False)
    for seen in (own, cache):
        if seen.error is None:
            yield checkup.check_disk(seen)
    yield checkup.check_key(key)
    seen_machine = machine.see_machine()
    wanted = max(manifest.resources.memory_mib for manifest in catalogue().values()) * _MIB
    yield checkup.check_memory(seen_machine)
    yield checkup.check_limits(seen_machine, address_space_wanted=wanted)
    yield checkup.check_engine(machine.see_engine())
    digests = [digest for manifest in catalogue().values() for digest in manifest.artifacts.values()]
    yield checkup.check_models(str(models), machine.damaged_models(models, digests))
    yield _endorsement(folder / ENDORSEMENT_FILE, key)
    yield _words(WordFiles(folder).read(), wall_s())


def _endorsement(path: Path, key: KeySeen) -> Finding:
    error = None
    if path.exists() and key.mode is not None and key.error is None:
        try:
            read_endorsement(path, NodeId(SigningKey.load_or_create(Path(key.path)).public))
        except BadEndorsement as bad:
            error = str(bad)
    return checkup.check_endorsement(str(path), is_there=path.exists(), error=error)


def _words(standing: Standing, now_s: int) -> Finding:
    overdue = sum(due_ms < now_s * 1_000 for _, due_ms in standing.owed.values())
    unheard_s_ago = now_s - standing.unheard_ms // 1_000
    return checkup.check_words(overdue=overdue, unheard=standing.unheard, unheard_s_ago=unheard_s_ago)


def _way(url: str, folder: Path, key: KeySeen, *, is_running: bool) -> Iterator[Finding]:
    """From this machine to the bus, each step as far as the last one led."""
    parts = urlsplit(url)
    yield checkup.check_proxy(network.see_proxy(url))
    if proxy_for(url) is None:
        host = parts.hostname or ""
        yield checkup.check_name(host, network.name_error(host))
    if parts.scheme == "https":
        certificate = network.see_certificate(url, kept_issuer(folder))
        if certificate is not None:
            yield checkup.check_certificate(certificate)
    api = GatewayApi(url)
    seen, told = _gateway(url, api)
    yield checkup.check_gateway(seen)
    if told is None:
        return
    yield checkup.check_clock(seen.clock_off_s)
    yield checkup.check_version(version("gridlight"), seen.agent_version_min)
    yield checkup.check_bus(_bus(told))
    if key.mode is not None and key.error is None:
        node_id = NodeId(SigningKey.load_or_create(Path(key.path)).public)
        twin = _twin(folder) if is_running else ""
        yield checkup.check_identity(is_running_here=is_running, is_online=_is_online(api, node_id), twin=twin)


def _gateway(url: str, api: GatewayApi) -> tuple[GatewaySeen, NetworkResponse | None]:
    try:
        told = api.network()
    except (NotAGateway, GatewayRefused):
        return GatewaySeen(url=url, error=None, is_gateway=False), None
    except GatewayUnreachable as error:
        reason = getattr(error.__cause__, "reason", error.__cause__)
        return GatewaySeen(url=url, error=str(reason or error), is_gateway=False), None
    seen = GatewaySeen(
        url=url,
        error=None,
        is_gateway=True,
        agent_version_min=told.agent_version_min,
        clock_off_s=_clock_off_s(api.date),
    )
    return seen, told


def _clock_off_s(date: str) -> int | None:
    """Within a second, and as much as the answer was under way."""
    try:
        return wall_s() - round(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError):
        return None


def _bus(told: NetworkResponse) -> BusSeen:
    websocket_url = told.websocket_url or ""
    return BusSeen(
        tcp_url=told.nats_url,
        tcp_error=network.tcp_bus_error(told.nats_url) if told.nats_url else None,
        websocket_url=websocket_url,
        websocket_error=network.websocket_bus_error(websocket_url) if websocket_url else None,
    )


def _is_online(api: GatewayApi, node_id: NodeId) -> bool:
    try:
        return api.node(node_id).node.online
    except (GatewayUnreachable, GatewayRefused):
        return False


def _twin(folder: Path) -> str:
    """What the agent that runs here knows of another one with its key."""
    try:
        answer = ask(folder, AskStatus())
    except (NoAgent, Refused):
        return ""
    return answer.twin if isinstance(answer, NodeStatus) else ""
