"""What is wrong with a node's set-up: a question for each thing that was seen, and for each trouble one line to copy.

Looking is others' work. A question whose answer hangs on another's is not asked where that one found a problem.
"""

import shlex
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gridlight.core.versions import is_older

CLOCK_OFF_S_MAX: Final = 60
"""A node's credentials are good from the second on in which they were made."""

DISK_BYTES_MIN: Final = 256 * 1024 * 1024
MEMORY_BYTES_MIN: Final = 300 * 1024 * 1024
"""An agent, and a worker with its model."""

OPEN_FILES_MIN: Final = 64
UNHEARD_S_MAX: Final = 24 * 3600
"""What is longer ago is not warned of any more."""

_MIB: Final = 1024 * 1024
_OTHERS: Final = 0o077
_ANY_KEY: Final = "R3JpZGxpZ2h0J3MgZG9jdA=="
"""Sixteen bytes, as RFC 6455 wants them."""


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"
    """The node cannot serve."""


class Finding(Struct, frozen=True):
    """What one question found, and the line to copy where something can be done."""

    check: str
    level: Level
    said: str
    line: str = ""


class FolderSeen(Struct, frozen=True, kw_only=True):
    """The node's folder, or that of the models."""

    path: str
    error: str | None
    """Why nothing can be written there."""
    free_bytes: int


class KeySeen(Struct, frozen=True, kw_only=True):
    """A file that holds a key. Its mode is None where there is no file."""

    path: str
    mode: int | None
    error: str | None


class MachineSeen(Struct, frozen=True, kw_only=True):
    """What the machine, and whatever holds this process, leave to it."""

    memory_bytes: int
    address_space_bytes: int | None
    """None where it is unlimited."""
    open_files: int
    has_memory_controller: bool


class EngineSeen(Struct, frozen=True):
    """A container engine's command; the error is its own word where it does not run."""

    name: str | None
    error: str | None = None


class ProxySeen(Struct, frozen=True, kw_only=True):
    """The proxy that the environment names for the network. The status is its answer where it refused to connect."""

    url: str | None
    error: str | None = None
    status: int | None = None


class CertificateSeen(Struct, frozen=True, kw_only=True):
    """Who vouches for the network's name, and who did when the node joined."""

    host: str
    port: int
    issuer: str
    error: str | None
    issuer_kept: str | None


class GatewaySeen(Struct, frozen=True, kw_only=True):
    """What answered at the network's URL."""

    url: str
    error: str | None
    is_gateway: bool
    agent_version_min: str = ""
    clock_off_s: int | None = None
    """How far this machine's clock is ahead of the gateway's."""


class BusSeen(Struct, frozen=True, kw_only=True):
    """The bus, by both ways; an error is None where it greeted, a URL empty where the network offers no such way."""

    tcp_url: str
    tcp_error: str | None
    websocket_url: str
    websocket_error: str | None


def check_folder(seen: FolderSeen, *, is_in_use: bool) -> Finding:
    """Whether the node can keep its key and its memory."""
    if seen.error is not None:
        told = f"nothing can be written to {seen.path}: {seen.error}"
        return Finding(
            "folder", Level.PROBLEM, told, f"ls -ld {shlex.quote(seen.path)}; df {shlex.quote(seen.path)}; id"
        )
    if is_in_use:
        return Finding("folder", Level.OK, f"an agent runs from {seen.path}")
    return Finding("folder", Level.OK, f"{seen.path} is free for an agent")


def check_disk(seen: FolderSeen) -> Finding:
    """Whether a model still fits."""
    free = f"{seen.free_bytes // _MIB} MiB are free at {seen.path}"
    if seen.free_bytes < DISK_BYTES_MIN:
        told = f"{free}, and a node wants {DISK_BYTES_MIN // _MIB}"
        return Finding("disk", Level.PROBLEM, told, f"du -xh {shlex.quote(seen.path)} | sort -h | tail -n 20")
    return Finding("disk", Level.OK, free)


def check_key(seen: KeySeen) -> Finding:
    """Whether the node's key is its owner's alone, and a key."""
    path = shlex.quote(seen.path)
    if seen.mode is None:
        return Finding("key", Level.NOTE, f"there is no {seen.path} yet: the first start makes it")
    if seen.error is not None:
        told = f"{seen.path} is no key that can be read: {seen.error}"
        return Finding("key", Level.PROBLEM, told, f"mv {path} {path}.broken")
    if seen.mode & _OTHERS:
        told = f"others on this machine can read {seen.path} (mode {seen.mode:o}), and so be this node"
        return Finding("key", Level.PROBLEM, told, f"chmod 600 {path}")
    return Finding("key", Level.OK, f"{seen.path} is its owner's alone")


def check_memory(seen: MachineSeen) -> Finding:
    """Whether a worker fits."""
    free = f"{seen.memory_bytes // _MIB} MiB of memory can be had"
    if seen.memory_bytes < MEMORY_BYTES_MIN:
        told = f"{free}, and a node with one slot wants {MEMORY_BYTES_MIN // _MIB}"
        return Finding("memory", Level.PROBLEM, told, "ps axo rss,pid,comm --sort=-rss | head")
    return Finding("memory", Level.OK, free)


def check_limits(seen: MachineSeen, *, address_space_wanted: int) -> Finding:
    """Whether workers can be held within limits, and those that we were given leave room for one."""
    space = seen.address_space_bytes
    if space is not None and space < address_space_wanted:
        told = f"processes may use {space // _MIB} MiB of addresses, and a worker wants {address_space_wanted // _MIB}"
        return Finding("limits", Level.PROBLEM, told, "ulimit -v unlimited")
    if seen.open_files < OPEN_FILES_MIN:
        told = f"processes may open {seen.open_files} files, and an agent wants {OPEN_FILES_MIN}"
        return Finding("limits", Level.PROBLEM, told, "ulimit -n 1024")
    if not seen.has_memory_controller:
        told = "no cgroups that count memory: workers are held by limits of their processes, containers by none"
        return Finding("limits", Level.WARNING, told, "cat /proc/self/cgroup /sys/fs/cgroup/cgroup.controllers")
    return Finding("limits", Level.OK, "workers can be held within limits")


def check_engine(seen: EngineSeen) -> Finding:
    """Whether containers could run. What the network runs by itself needs none."""
    if seen.name is None:
        told = "no podman and no docker: workloads that come as containers are not for this node"
        return Finding("engine", Level.NOTE, told, "sudo apt-get install podman")
    if seen.error is not None:
        line = "sudo systemctl start docker" if seen.name == "docker" else "podman system migrate && podman info"
        return Finding("engine", Level.WARNING, f"{seen.name} is there and does not run: {seen.error}", line)
    return Finding("engine", Level.OK, f"{seen.name} runs")


def check_models(path: str, damaged: tuple[str, ...]) -> Finding:
    """Whether the models in the cache are what their digests say."""
    if damaged:
        files = " ".join(shlex.quote(f"{path}/{name}") for name in damaged)
        told = f"{len(damaged)} of the models in {path} is damaged, and will be fetched again"
        return Finding("models", Level.WARNING, told, f"rm {files}")
    return Finding("models", Level.OK, f"no model in {path} is damaged")


def check_endorsement(path: str, *, is_there: bool, error: str | None) -> Finding:
    """Whether the network's word is with the node, which it need not be."""
    if error is not None:
        return Finding("endorsement", Level.PROBLEM, error, f"rm {shlex.quote(path)}")
    if not is_there:
        told = "a newcomer: until it has answered well for a while, its answers are checked and seldom served"
        return Finding("endorsement", Level.NOTE, told)
    return Finding("endorsement", Level.OK, f"{path} is this node's")


def check_words(*, overdue: int, unheard: int, unheard_s_ago: int) -> Finding:
    """Whether the network keeps its word, and gives it: on each result, and a receipt for each word."""
    if overdue:
        told = f"by its own word the network owes a receipt for {_runs(overdue)}; this proves it"
        return Finding("words", Level.WARNING, told, "gridlight node omitted --out proofs")
    if unheard and unheard_s_ago < UNHEARD_S_MAX:
        told = f"{_runs(unheard)} got no word of the network though the result went out in time; this says when"
        return Finding("words", Level.WARNING, told, "gridlight node omitted")
    return Finding("words", Level.OK, "the network has broken no word that this node knows of")


def _runs(count: int) -> str:
    return "one run" if count == 1 else f"{count} runs"


def check_network(url: str | None) -> Finding:
    """Whether it is known where the node belongs."""
    if url is None:
        told = "it is not known which network this node is for, so nothing beyond this machine was looked at"
        return Finding("network", Level.WARNING, told, "gridlight node doctor --network https://HOST")
    return Finding("network", Level.OK, f"this node is for {url}")


def check_proxy(seen: ProxySeen) -> Finding:
    """Whether the way that the environment prescribes leads anywhere."""
    if seen.url is None:
        return Finding("proxy", Level.OK, "no proxy is set for this network")
    if seen.status == 407:
        told = f"the proxy {seen.url} wants to know who asks"
        return Finding("proxy", Level.PROBLEM, told, "export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")
    if seen.status is not None:
        told = f"the proxy {seen.url} does not connect to this network: HTTP {seen.status}"
        return Finding("proxy", Level.PROBLEM, told, "env | grep -i _proxy")
    if seen.error is not None:
        told = f"the proxy {seen.url} cannot be used: {seen.error}"
        return Finding("proxy", Level.PROBLEM, told, "unset HTTPS_PROXY https_proxy HTTP_PROXY http_proxy ALL_PROXY")
    return Finding("proxy", Level.OK, f"the proxy {seen.url} connects")


def check_name(host: str, error: str | None) -> Finding:
    """Whether the network's name has an address."""
    if error is not None:
        told = f"{host} has no address: {error}"
        return Finding("name", Level.PROBLEM, told, f"getent ahosts {shlex.quote(host)}; cat /etc/resolv.conf")
    return Finding("name", Level.OK, f"{host} has an address")


def check_certificate(seen: CertificateSeen) -> Finding:
    """Whether somebody between reads along, or passes for the network."""
    host = shlex.quote(seen.host)
    shown = f"openssl s_client -connect {host}:{seen.port} -servername {host} </dev/null"
    if seen.error is not None:
        told = (
            f"the certificate for {seen.host}, issued by {seen.issuer or 'nobody known'}, is not trusted here "
            f"({seen.error}); where a company's proxy reads along, name its certificate"
        )
        return Finding("certificate", Level.PROBLEM, told, "export SSL_CERT_FILE=/path/to/authority.pem")
    if seen.issuer_kept is not None and seen.issuer_kept != seen.issuer:
        told = (
            f"the certificate for {seen.host} was issued by {seen.issuer_kept} when the node joined, and now by "
            f"{seen.issuer}: the network changed it, or somebody between reads along"
        )
        return Finding("certificate", Level.WARNING, told, f"{shown} | openssl x509 -noout -issuer -dates")
    return Finding("certificate", Level.OK, f"{seen.host} is vouched for by {seen.issuer}")


def check_gateway(seen: GatewaySeen) -> Finding:
    """Whether a gateway answers."""
    line = f"curl -sv {shlex.quote(seen.url)}/v1/network"
    if seen.is_gateway:
        return Finding("gateway", Level.OK, f"a gateway answers at {seen.url}")
    if seen.error is None:
        return Finding("gateway", Level.PROBLEM, f"what answers at {seen.url} is no gateway of Gridlight", line)
    told = f"no gateway answers at {seen.url}: {seen.error}; if this machine is behind a proxy, say so by HTTPS_PROXY"
    return Finding("gateway", Level.PROBLEM, told, line)


def check_clock(off_s: int | None) -> Finding:
    """Whether this machine and the network agree on the time."""
    if off_s is None:
        return Finding("clock", Level.NOTE, "the gateway does not say what time it is")
    if abs(off_s) > CLOCK_OFF_S_MAX:
        told = f"this machine's clock is {abs(off_s)} s {'ahead of' if off_s > 0 else 'behind'} the network's"
        return Finding("clock", Level.PROBLEM, told, "sudo timedatectl set-ntp true")
    return Finding("clock", Level.OK, f"the clock is within {CLOCK_OFF_S_MAX} s of the network's")


def check_version(own: str, oldest: str) -> Finding:
    """Whether the network still takes this agent."""
    if is_older(own, oldest):
        told = f"this is Gridlight {own}, and the network takes {oldest} on"
        return Finding("version", Level.PROBLEM, told, "pip install --upgrade gridlight")
    return Finding("version", Level.OK, f"the network takes Gridlight {own}")


def check_bus(seen: BusSeen) -> Finding:
    """Whether one of the ways to the bus is open."""
    if seen.tcp_url and seen.tcp_error is None:
        return Finding("bus", Level.OK, f"the bus answers at {seen.tcp_url}")
    tcp = f"{seen.tcp_url} does not ({seen.tcp_error})" if seen.tcp_url else "the network offers no other way"
    if seen.websocket_url and seen.websocket_error is None:
        return Finding("bus", Level.OK, f"the bus answers at {seen.websocket_url}; {tcp}")
    if not seen.websocket_url:
        told = f"the bus cannot be reached: {tcp}, and the network offers no WebSocket"
        return Finding("bus", Level.PROBLEM, told, f"curl -v telnet://{shlex.quote(seen.tcp_url.split('://')[-1])}")
    told = f"the bus cannot be reached by WebSocket at {seen.websocket_url} ({seen.websocket_error}); {tcp}"
    url = shlex.quote(f"http{seen.websocket_url.removeprefix('ws')}")
    headers = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {_ANY_KEY}",
    )
    line = f"curl -sv --http1.1 {' '.join(f'-H {shlex.quote(one)}' for one in headers)} {url}"
    return Finding("bus", Level.PROBLEM, f"{told}; whoever filters this line has to let it pass", line)


def check_identity(*, is_running_here: bool, is_online: bool, twin: str = "") -> Finding:
    """Whether another agent is this node, too; `twin` is what the one that runs here knows of it."""
    if twin:
        return Finding("identity", Level.PROBLEM, twin, "gridlight node start --network URL --data NEW-FOLDER")
    if is_online and not is_running_here:
        told = "the network has this node online, and no agent runs here: its key is in use on another machine"
        return Finding("identity", Level.PROBLEM, told, "gridlight node start --network URL --data NEW-FOLDER")
    return Finding("identity", Level.OK, "no other machine is seen with this node's key")
