"""Hostile nodes as processes, each with a folder and keys of its own, and what became of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from tests.acceptance.hostile.agent import SAID_FILE, Task
from tests.acceptance.hostile.lies import Behaviour

from gridlight.adapters.endorsements import ENDORSEMENT_FILE
from gridlight.adapters.parent_death import signalled_when_parent_dies
from gridlight.adapters.signatures import SigningKey, write_secret
from gridlight.messages.ids import NodeId
from gridlight.services.own_nodes import endorse_node, id_of_node

ROOT: Final = Path(__file__).parents[3]
OPERATOR_KEY_FILE: Final = "operator.nk"


class Recruit(Struct, frozen=True, kw_only=True):
    """A hostile node to be."""

    behaviour: Behaviour
    is_endorsed: bool = False
    """The founder's own, and taken over: it serves at once."""
    options: tuple[str, ...] = ()
    operator_of: str | None = None
    """What another recruit is called, whose operator it has."""
    name: str = ""

    @property
    def called(self) -> str:
        """For figures and folders; no two are called the same."""
        return self.name or self.behaviour.value + (" (endorsed)" if self.is_endorsed else "")


class HostileNode:
    """One hostile agent's process."""

    def __init__(self, url: str, network_folder: Path, folder: Path, recruit: Recruit) -> None:
        self.recruit = recruit
        self.folder = folder / recruit.called
        self.node_id: NodeId = id_of_node(self.folder)
        if recruit.operator_of is not None:
            shared = (folder / recruit.operator_of / OPERATOR_KEY_FILE).read_text("ascii")
            write_secret(self.folder / OPERATOR_KEY_FILE, shared)
        SigningKey.load_or_create(self.folder / OPERATOR_KEY_FILE)
        if recruit.is_endorsed:
            endorsement = endorse_node(network_folder, self.node_id, "trusted")
            write_secret(self.folder / ENDORSEMENT_FILE, endorsement + "\n")
        module = ("-m", "tests.acceptance.hostile.agent", "--behaviour", recruit.behaviour.value)
        words = [sys.executable, *module, "--network", url, "--data", str(self.folder), *recruit.options]
        with (self.folder / "log.jsonl").open("wb") as log:
            self.process = subprocess.Popen(
                words,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
                preexec_fn=signalled_when_parent_dies(signal.SIGKILL),  # noqa: PLW1509  (no other thread yet)
            )

    def tasks(self) -> list[Task]:
        """What it was given, and whether it lied."""
        lines = (self.folder / SAID_FILE).read_bytes().split(b"\n")[:-1]
        return [msgspec.json.decode(line, type=Task) for line in lines]

    def log_tail(self) -> str:
        """For whoever reads a failure."""
        return "\n".join((self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-15:])

    def tell_to_lie(self) -> None:
        """To one that sleeps until then."""
        self.process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Its worker ends with it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def recruited(url: str, network_folder: Path, folder: Path, recruits: Sequence[Recruit]) -> Iterator[list[HostileNode]]:
    """Hostile nodes for as long as the `with` lasts."""
    with ExitStack() as stack:
        nodes = []
        for recruit in recruits:
            node = HostileNode(url, network_folder, folder, recruit)
            stack.callback(node.kill)
            nodes.append(node)
        yield nodes
