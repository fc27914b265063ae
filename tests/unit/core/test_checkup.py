"""Each of the doctor's questions: what it makes of what was seen, and the line to copy where something is wrong."""

from collections.abc import Callable
from functools import partial

import pytest
from msgspec.structs import replace

from gridlight.core import checkup
from gridlight.core.checkup import (
    BusSeen,
    CertificateSeen,
    EngineSeen,
    Finding,
    FolderSeen,
    GatewaySeen,
    KeySeen,
    Level,
    MachineSeen,
    ProxySeen,
)

GIB = 1024**3
FOLDER = FolderSeen(path="/a b", error=None, free_bytes=GIB)
KEY = KeySeen(path="/a b/node.nk", mode=0o600, error=None)
MACHINE = MachineSeen(memory_bytes=GIB, address_space_bytes=None, open_files=1_024, has_memory_controller=True)
PROXY = ProxySeen(url="http://proxy.example:3128")
CERTIFICATE = CertificateSeen(host="network.example", port=8443, issuer="Authority, R1", error=None, issuer_kept=None)
GATEWAY = GatewaySeen(url="https://network.example", error=None, is_gateway=True, agent_version_min="0.1")
BUS = BusSeen(
    tcp_url="nats://network.example:4222",
    tcp_error=None,
    websocket_url="wss://network.example/bus",
    websocket_error=None,
)
OFF = replace(BUS, tcp_error="timed out", websocket_error="HTTP 403")

OK, NOTE, WARNING, PROBLEM = Level


@pytest.mark.parametrize(
    ("ask", "level", "said", "line"),
    [
        (partial(checkup.check_folder, FOLDER, is_in_use=False), OK, "free for an agent", ""),
        (partial(checkup.check_folder, FOLDER, is_in_use=True), OK, "an agent runs", ""),
        (partial(checkup.check_folder, replace(FOLDER, error="No"), is_in_use=False), PROBLEM, ": No", "ls -ld '/a b'"),
        (partial(checkup.check_disk, FOLDER), OK, "1024 MiB", ""),
        (partial(checkup.check_disk, replace(FOLDER, free_bytes=checkup.DISK_BYTES_MIN)), OK, "256 MiB", ""),
        (partial(checkup.check_disk, replace(FOLDER, free_bytes=checkup.DISK_BYTES_MIN - 1)), PROBLEM, "255", "du -xh"),
        (partial(checkup.check_key, KEY), OK, "its owner's alone", ""),
        (partial(checkup.check_key, replace(KEY, mode=None)), NOTE, "first start makes it", ""),
        (partial(checkup.check_key, replace(KEY, error="mistyped")), PROBLEM, "mistyped", "mv '/a b/node.nk'"),
        (partial(checkup.check_key, replace(KEY, mode=0o640)), PROBLEM, "mode 640", "chmod 600 '/a b/node.nk'"),
        (partial(checkup.check_key, replace(KEY, mode=0o604)), PROBLEM, "mode 604", "chmod 600 '/a b/node.nk'"),
        (partial(checkup.check_memory, MACHINE), OK, "1024 MiB", ""),
        (partial(checkup.check_memory, replace(MACHINE, memory_bytes=checkup.MEMORY_BYTES_MIN - 1)), PROBLEM, "2", ""),
        (partial(checkup.check_limits, MACHINE, address_space_wanted=GIB), OK, "within limits", ""),
        (
            partial(checkup.check_limits, replace(MACHINE, address_space_bytes=GIB), address_space_wanted=GIB),
            OK, "within limits", "",
        ),
        (
            partial(checkup.check_limits, replace(MACHINE, address_space_bytes=GIB - 1), address_space_wanted=GIB),
            PROBLEM, "1023 MiB", "ulimit -v",
        ),
        (
            partial(checkup.check_limits, replace(MACHINE, open_files=63), address_space_wanted=GIB),
            PROBLEM, "63 files", "ulimit -n",
        ),
        (
            partial(checkup.check_limits, replace(MACHINE, has_memory_controller=False), address_space_wanted=GIB),
            WARNING, "no cgroups", "cat /proc/self/cgroup",
        ),
        (partial(checkup.check_engine, EngineSeen("podman")), OK, "podman runs", ""),
        (partial(checkup.check_engine, EngineSeen(None)), NOTE, "no podman", "apt-get install podman"),
        (partial(checkup.check_engine, EngineSeen("podman", "no ids")), WARNING, "no ids", "podman system migrate"),
        (partial(checkup.check_engine, EngineSeen("docker", "no daemon")), WARNING, "no daemon", "start docker"),
        (partial(checkup.check_models, "/a b", ()), OK, "no model", ""),
        (partial(checkup.check_models, "/a b", ("1", "2")), WARNING, "2 of the models", "rm '/a b/1' '/a b/2'"),
        (partial(checkup.check_endorsement, "/a b", is_there=True, error=None), OK, "this node's", ""),
        (partial(checkup.check_endorsement, "/a b", is_there=False, error=None), NOTE, "a newcomer", ""),
        (partial(checkup.check_endorsement, "/a b", is_there=True, error="another's"), PROBLEM, "another", "rm"),
        (partial(checkup.check_words, overdue=0, unheard=0, unheard_s_ago=9), OK, "broken no word", ""),
        (partial(checkup.check_words, overdue=0, unheard=3, unheard_s_ago=86_400), OK, "broken no word", ""),
        (partial(checkup.check_words, overdue=0, unheard=3, unheard_s_ago=9), WARNING, "3 runs got no word", "omitted"),
        (partial(checkup.check_words, overdue=1, unheard=3, unheard_s_ago=9), WARNING, "receipt for one run", "proofs"),
        (partial(checkup.check_network, "https://network.example"), OK, "network.example", ""),
        (partial(checkup.check_network, None), WARNING, "not known", "--network"),
        (partial(checkup.check_proxy, ProxySeen(url=None)), OK, "no proxy", ""),
        (partial(checkup.check_proxy, PROXY), OK, "connects", ""),
        (partial(checkup.check_proxy, replace(PROXY, status=407)), PROBLEM, "who asks", "USER:PASSWORD"),
        (partial(checkup.check_proxy, replace(PROXY, status=403)), PROBLEM, "HTTP 403", "env | grep"),
        (partial(checkup.check_proxy, replace(PROXY, error="refused")), PROBLEM, "refused", "unset HTTPS_PROXY"),
        (partial(checkup.check_name, "network.example", None), OK, "has an address", ""),
        (partial(checkup.check_name, "network.example", "unknown"), PROBLEM, "unknown", "getent"),
        (partial(checkup.check_certificate, CERTIFICATE), OK, "vouched for by Authority, R1", ""),
        (
            partial(checkup.check_certificate, replace(CERTIFICATE, issuer_kept="Authority, R1")),
            OK, "vouched for by Authority, R1", "",
        ),
        (
            partial(checkup.check_certificate, replace(CERTIFICATE, issuer_kept="Other")),
            WARNING, "issued by Other when the node joined, and now by Authority, R1", "network.example:8443",
        ),
        (
            partial(checkup.check_certificate, replace(CERTIFICATE, error="self-signed")),
            PROBLEM, "issued by Authority, R1, is not trusted here (self-signed)", "SSL_CERT_FILE",
        ),
        (
            partial(checkup.check_certificate, replace(CERTIFICATE, error="expired", issuer="")),
            PROBLEM, "issued by nobody known", "SSL_CERT_FILE",
        ),
        (partial(checkup.check_gateway, GATEWAY), OK, "a gateway answers", ""),
        (partial(checkup.check_gateway, replace(GATEWAY, is_gateway=False)), PROBLEM, "is no gateway", "curl -sv"),
        (
            partial(checkup.check_gateway, replace(GATEWAY, is_gateway=False, error="refused")),
            PROBLEM, "no gateway answers", "curl -sv https://network.example/v1/network",
        ),
        (partial(checkup.check_clock, None), NOTE, "does not say", ""),
        (partial(checkup.check_clock, 60), OK, "within 60 s", ""),
        (partial(checkup.check_clock, -60), OK, "within 60 s", ""),
        (partial(checkup.check_clock, 61), PROBLEM, "61 s ahead of", "timedatectl set-ntp true"),
        (partial(checkup.check_clock, -3_600), PROBLEM, "3600 s behind", "timedatectl set-ntp true"),
        (partial(checkup.check_version, "0.2", "0.1"), OK, "takes Gridlight 0.2", ""),
        (partial(checkup.check_version, "0.1", "0.2"), PROBLEM, "takes 0.2 on", "pip install --upgrade gridlight"),
        (partial(checkup.check_bus, BUS), OK, "answers at nats://", ""),
        (partial(checkup.check_bus, replace(BUS, tcp_error="timed out")), OK, "at wss://network.example/bus; nats", ""),
        (partial(checkup.check_bus, replace(BUS, tcp_url="")), OK, "offers no other way", ""),
        (partial(checkup.check_bus, OFF), PROBLEM, "(HTTP 403); nats://network.example:4222 does not (timed", ""),
        (partial(checkup.check_bus, replace(OFF, tcp_url="")), PROBLEM, "offers no other", "/bus"),
        (partial(checkup.check_bus, replace(OFF, websocket_url="")), PROBLEM, "offers no WebSocket", "curl"),
        (partial(checkup.check_identity, is_running_here=True, is_online=True), OK, "no other machine", ""),
        (partial(checkup.check_identity, is_running_here=False, is_online=False), OK, "no other machine", ""),
        (partial(checkup.check_identity, is_running_here=False, is_online=True), PROBLEM, "another machine", "--data"),
        (partial(checkup.check_identity, is_running_here=True, is_online=True, twin="two"), PROBLEM, "two", "--data"),
    ],
)  # fmt: skip
def test_each_question_has_its_answer(ask: Callable[[], Finding], level: Level, said: str, line: str) -> None:
    finding = ask()

    assert (finding.level, said in finding.said) == (level, True), finding
    assert line in finding.line, finding
    assert "\n" not in finding.said + finding.line
    assert bool(finding.line) or level in (OK, NOTE), "whatever is wrong can be looked into by a line to copy"


def test_a_way_that_is_open_is_found_whichever_it_is() -> None:
    by_tcp = checkup.check_bus(replace(BUS, websocket_error="HTTP 403"))
    by_websocket = checkup.check_bus(replace(BUS, tcp_error="timed out"))

    assert by_tcp.level is by_websocket.level is OK
