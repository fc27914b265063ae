"""The population: what each simulated node is like, drawn once, in columns of one entry a node."""

from array import array
from enum import IntEnum
from typing import Final

from gridlight.core.draw import draw_many
from gridlight.messages.ids import NodeId
from gridlight.simulation.distributions import MILLION, log_normal
from gridlight.simulation.scenario import Fleet, Nodes

BENCHMARK_MS_MAX: Final = 600_000
SLOW_FACTOR: Final = 3

_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_PYTHON: Final = str.maketrans(_DIGITS, "0123456789abcdefghijklmnopqrstuv")
_ID_DIGITS: Final = 6
_NUMBERS_MAX: Final = len(_DIGITS) ** _ID_DIGITS
_OPERATOR_FIRST: Final = 1 << 28


class Kind(IntEnum):
    """How a node differs from the others."""

    HONEST = 0
    SLOW = 1
    FLAKY = 2
    FREEZING = 3


class Presence(IntEnum):
    """Where a node is, in truth; the coordinator may believe something else."""

    AWAY = 0
    HERE = 1
    SILENT = 2
    """Gone, but its connection looks open to the bus."""


AWAY: Final = Presence.AWAY
HERE: Final = Presence.HERE
SILENT: Final = Presence.SILENT


def node_id(number: int) -> NodeId:
    """A well-formed id that stands for a node's number."""
    digits = ""
    for _ in range(_ID_DIGITS):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return NodeId("U" + digits.rjust(55, "A"))


def number_of(node: NodeId) -> int:
    """The number that an id of ours stands for; a table of ids would cost more memory than all columns."""
    return int(node[-_ID_DIGITS:].translate(_TO_PYTHON), 32)


class Population:
    """All nodes of a run. A node may take on a new identity: it stays the same machine, and nobody can tell."""

    def __init__(
        self, seed: int, nodes: Nodes, fleet: Fleet | None = None, *, crowd: int = 0, crowd_of: int = 0
    ) -> None:
        self.count = nodes.count
        self.renewals = 0
        """New identities taken on so far."""
        self.age = array("I", bytes(4 * nodes.count))
        """How long each node believes its own clean run to be."""
        self._per_operator = (fleet or Fleet()).nodes_per_operator
        self._crowd, self._crowd_of = crowd, crowd_of
        """So many first nodes share so many operators, where that is not 0."""
        self._generation: dict[int, int] = {}
        self.ids = [node_id(number) for number in range(nodes.count)]
        self.service_ms = array("I")
        """Each node's own median."""
        self.benchmark_ms = array("I")
        """What it says of itself when it offers."""
        self.slots = bytearray()
        self.kind = bytearray()
        self.region = array("H")
        self.day_start = bytearray()
        """The hour at which the operator switches it on, where nodes keep hours."""
        self.presence = bytearray(nodes.count)
        self.session = array("I", bytes(4 * nodes.count))
        self.life = array("I", bytes(4 * nodes.count))
        """How often its process has begun; a connection may break without that."""
        self.change_ms = array("q", bytes(8 * nodes.count))
        """When it next comes or goes by itself; an entry of the timeline that says otherwise is out of date."""
        medians = log_normal(nodes.median_ms, nodes.median_spread_permille)
        for number in range(nodes.count):
            self._add(nodes, draw_many(seed, "node", number), medians)
        self.mean_run_ms = array("I", self.benchmark_ms)
        """What the node itself believes that a run takes."""

    def node_of(self, identity: NodeId) -> int:
        """The machine behind an id, which may have another id by now."""
        return number_of(identity) % self.count

    def renew(self, node: int) -> None:
        """The node comes back as somebody else."""
        generation = self._generation[node] = self._generation.get(node, 0) + 1
        number = generation * self.count + node
        assert number < _NUMBERS_MAX, "all identities are used up"
        self.ids[node] = node_id(number)
        self.age[node] = 0
        self.renewals += 1

    def operator_of(self, node: int) -> NodeId:
        """Whose the node is now: an operator's key looks as a node's."""
        return node_id(_OPERATOR_FIRST + self._operator_number(node))

    def prefix_of(self, node: int) -> str:
        """Where the node enrolled from; operators have one network each."""
        number = self._operator_number(node)
        return f"2{number >> 16:03x}:{number & 0xFFFF:x}::/48"

    def _operator_number(self, node: int) -> int:
        if self._crowd_of and node < self._crowd:
            place = node % self._crowd_of
        else:
            place = self._crowd_of + node // self._per_operator
        return self._generation.get(node, 0) * (self.count + self._crowd_of) + place

    def session_id(self, number: int) -> str:
        """The name of a node's current connection."""
        return f"{self.session[number]:016x}"

    def _add(self, nodes: Nodes, draws: tuple[int, ...], medians: "array[int]") -> None:
        median_ms = medians[draws[0] & 0xFFFF]
        percent = 100 + (draws[1] & 0xFFFF) * (nodes.prior_wrong_percent - 100) // 0xFFFF
        is_too_high = draws[1] >> 16 & 1
        benchmark_ms = median_ms * percent // 100 if is_too_high else median_ms * 100 // percent
        kind = _kind_of(nodes, draws[2] % MILLION)
        self.service_ms.append(median_ms * SLOW_FACTOR if kind is Kind.SLOW else median_ms)
        self.benchmark_ms.append(max(1, min(benchmark_ms, BENCHMARK_MS_MAX)))
        self.slots.append(nodes.cpus[draws[3] % len(nodes.cpus)])
        self.kind.append(kind)
        self.region.append(draws[4] % nodes.regions)
        self.day_start.append(draws[5] % 24)


def _kind_of(nodes: Nodes, part: int) -> Kind:
    kinds = nodes.kinds
    for kind, ppm in (
        (Kind.SLOW, kinds.slow_ppm),
        (Kind.FLAKY, kinds.flaky_ppm),
        (Kind.FREEZING, kinds.freezing_ppm),
    ):
        if part < ppm:
            return kind
        part -= ppm
    return Kind.HONEST
