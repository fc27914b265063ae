"""A scenario: one TOML file that says which network is simulated, what befalls it, and what is checked."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ledger import AMOUNT_MAX, MoneyParameters
from gridlight.messages.trust import TrustParameters, parameters_from

SECONDS_MAX: Final = 7 * 86_400
NODES_MAX: Final = 1_000_000

Ppm = Annotated[int, Meta(ge=0, le=1_000_000)]
Permille = Annotated[int, Meta(ge=0, le=3_000)]
Millis = Annotated[int, Meta(ge=1, le=3_600_000)]
Count = Annotated[int, Meta(ge=0, le=1_000)]
Age = Annotated[int, Meta(ge=0, le=10_000_000)]


class BadScenario(ValueError):
    """The file is not there, or says what the simulator does not understand."""


class Demand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What requesters ask."""

    tasks_per_second: Annotated[int, Meta(ge=1, le=100_000)]
    deadline_ms: Annotated[int, Meta(ge=200, le=60_000)] = 4_000
    """The requester's own; each answer by then counts as within it."""
    reserve_ms: Annotated[int, Meta(ge=0, le=1_000)] = 50
    """What the gateway keeps of it for reading the request and writing the answer."""
    gateways: Annotated[int, Meta(ge=1, le=64)] = 2
    unassured_ppm: Ppm = 0
    """Of all jobs, those that ask for no assurance; the next two are those that ask for more than a sample."""
    audited_ppm: Ppm = 0
    arbitrated_ppm: Ppm = 0
    public_ppm: Ppm = 0
    """Jobs whose input may be used again, as a canary."""


class Kinds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many nodes in a million are not like the others."""

    slow_ppm: Ppm = 0
    """Takes three times as long as its benchmark says."""
    flaky_ppm: Ppm = 0
    """Loses every third task by a crash of its worker, and says so."""
    freezing_ppm: Ppm = 0
    """Stands still for a while now and then, its connection open, and goes on as if nothing had been."""


class Nodes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The population."""

    count: Annotated[int, Meta(ge=1, le=NODES_MAX)]
    median_ms: Millis = 1_000
    median_spread_permille: Permille = 450
    cpus: tuple[Annotated[int, Meta(ge=1, le=64)], ...] = (1,)
    """A node has one of these, each as often; it lends a slot for each."""
    prior_wrong_percent: Annotated[int, Meta(ge=100, le=1_000)] = 100
    """Benchmarks are wrong by up to this factor, either way."""
    regions: Annotated[int, Meta(ge=1, le=1_000)] = 10
    """Nodes of a region fail together."""
    are_full: bool = False
    """Run the real `core.agent` in each node, and every message through the codec; for small networks."""
    kinds: Kinds = Kinds()
    fault_ppm: Ppm = 0
    """Results of honest nodes that are wrong all the same: bad memory, not ill will; no two are wrong alike."""


class Fleet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How settled the network is when the run begins, and whose its nodes are."""

    age_min: Age = 16_000
    age_max: Age = 80_000
    """Clean runs are spread evenly between these; a node whose run is too short to be trusted is a newcomer."""
    newcomers_ppm: Ppm = 0
    """Of all nodes, those that have run nothing yet."""
    references: Annotated[int, Meta(ge=0, le=1_000)] = 3
    """The last nodes are the network's own, to settle what others dispute."""
    nodes_per_operator: Annotated[int, Meta(ge=1, le=1_000)] = 1


class Strategy(StrEnum):
    """How nodes of ill will go about it."""

    COLLUDERS = "colluders"
    """All give the same wrong answer to a task, and whoever is asked to check it covers it up."""
    SLEEPERS = "sleepers"
    """Colluders that are honest until one moment, when all turn."""
    SYBIL = "sybil"
    """Colluders that begin as newcomers of few operators."""
    CANARY_AWARE = "canary_aware"
    """Colluders that know a canary now and then, and answer it honestly."""
    DUPLICATE_AWARE = "duplicate_aware"
    """Colluders that give a wrong answer only where they hold more than one copy of a task."""
    LAZY = "lazy"
    """Each for itself: says that nothing is there, without having looked."""
    CHEAP_MODEL = "cheap_model"
    """Each for itself: runs something cheaper, which answers otherwise."""


class Adversary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes of ill will: the first ones, and all of one group."""

    strategy: Strategy = Strategy.COLLUDERS
    fraction_ppm: Ppm = 0
    rate_ppm: Ppm = 1_000_000
    """How many of its answers a node that has turned gives wrong."""
    turns_at_age: Age = 0
    """A node has turned after so long a clean run, by its own count, if it is trusted."""
    age_max: Age | None = None
    """How old they are at the start: from nothing to this; as all others, if left out."""
    turns_after_seconds: Annotated[int, Meta(ge=0, le=SECONDS_MAX)] = 0
    """Sleepers turn together, so long after counting began."""
    recognised_ppm: Ppm = 0
    """How many canaries are known for what they are."""
    is_copying: bool = False
    """Whether one of a group copies what a fellow said also where it was sent another seed, so that a copy can show."""
    operators: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """How many operators share their nodes; 0 is as with all other nodes."""
    returns: bool = True
    """A node that is banned is back in a moment, with a new key, for a new operator, as a newcomer."""


class Money(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What work costs. All requesters of a run pay from one account; amounts are units of 1e-7 coin."""

    mwu: Annotated[int, Meta(ge=1, le=10**9)] = 1_000_000
    """Thousandths of a work unit that a task is."""
    credited: Annotated[int, Meta(ge=1, le=AMOUNT_MAX // 2)] = 10**15
    """What the requesters have at the start."""
    pool: Annotated[int, Meta(ge=1, le=AMOUNT_MAX // 2)] = 10**13
    """What the founder gives for checks at the start: a network of newcomers costs more of them than requesters pay."""
    prices: MoneyParameters = MoneyParameters()
    """As the `[money]` table of a coordinator."""


class Churn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How nodes come and go by themselves."""

    leave_ppm_per_minute: Ppm = 0
    away_ms: Millis = 60_000
    """Mean absence of a node that left or vanished."""
    day_hours: Annotated[int, Meta(ge=1, le=24)] = 24
    """So many hours a day a node is there, beginning at an hour of its own."""


class Attempts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of an assignment at its node; the defaults are the latency model that the design is built on."""

    ack_ms: Millis = 120
    ack_spread_permille: Permille = 600
    service_spread_permille: Permille = 250
    stall_ppm: Ppm = 20_000
    stall_ms: Millis = 4_000
    vanish_ppm: Ppm = 50_000
    """Half of them before they acknowledge."""
    silent_ppm: Ppm = 500_000
    """Of those that vanish, whose connection is not seen to close."""
    close_seen_ms: Millis = 300
    silence_seen_ms: Millis = 20_000
    freeze_ms: Millis = 15_000


class Links(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network between gateways, nodes and coordinator."""

    delay_ms: Millis = 1
    delay_spread_permille: Permille = 0
    loss_ppm: Ppm = 0
    duplicate_ppm: Ppm = 0


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what befalls the network, at times that the seed draws."""

    coordinator_crashes: Count = 0
    crash_ms: Millis = 2_000
    bus_restarts: Count = 0
    outages: Count = 0
    outage_ms: Millis = 30_000
    outage_regions: Count = 3
    """So many regions go at once."""
    partitions: Count = 0
    """Of one gateway from all else."""
    partition_ms: Millis = 2_000


class Checks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is checked how often, in events; 0 means at the end alone."""

    account: bool = True
    """Hold the core to its promises, effect by effect."""
    core_each: Annotated[int, Meta(ge=0)] = 20_000
    """The core's own `check()`, which looks at all nodes."""
    replay_each: Annotated[int, Meta(ge=0)] = 100_000
    """The journal folds to the same state, which encodes all nodes."""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulation's description; with a seed it is one exact run."""

    description: str
    seconds: Annotated[int, Meta(ge=1, le=SECONDS_MAX)]
    """With faults. After that they stop, and all that is open must end."""
    warm_seconds: Annotated[int, Meta(ge=0, le=SECONDS_MAX)] = 0
    """Before that, for the core to learn how fast nodes are; not counted."""
    demand: Demand
    nodes: Nodes
    seed: Annotated[int, Meta(ge=0, lt=2**53)] = 1
    quiet_seconds: Annotated[int, Meta(ge=0, le=3_600)] = 20
    """How long requesters go on asking once faults have stopped."""
    epoch_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 600
    """How often the host draws a new secret, and the ledger pays checks and lets go of what was held back."""
    churn: Churn = Churn()
    attempts: Attempts = Attempts()
    links: Links = Links()
    faults: Faults = Faults()
    checks: Checks = Checks()
    fleet: Fleet = Fleet()
    adversary: Adversary = Adversary()
    trust: dict[str, str | int | bool] = {}
    """As the `[trust]` table of a coordinator: a profile, and what differs from it."""
    money: Money | None = None
    """Without it jobs are done for nothing, and there is no ledger."""

    def __post_init__(self) -> None:
        """What no single key can say."""
        parameters_from(self.trust)
        if self.fleet.age_max < self.fleet.age_min:
            raise ValueError("fleet.age_max is below fleet.age_min")
        if self.fleet.references + self.adversaries > self.nodes.count:
            raise ValueError("there are fewer nodes than reference nodes and adversaries")

    @property
    def adversaries(self) -> int:
        """How many nodes are of ill will."""
        return self.nodes.count * self.adversary.fraction_ppm // 1_000_000

    @property
    def needs_journal(self) -> bool:
        """A run without replays and crashes need not remember what happened."""
        return bool(self.checks.replay_each or self.faults.coordinator_crashes)

    @property
    def trust_parameters(self) -> TrustParameters:
        """What the coordinator is started with."""
        return parameters_from(self.trust)


def load_scenario(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read the file, and set single keys as `table.key=value`; BadScenario names what is wrong or unknown."""
    try:
        tables = msgspec.toml.decode(path.read_bytes())
        for override in overrides:
            _set(tables, override)
        return msgspec.convert(tables, Scenario)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path}: {error}") from error
    except OSError as error:
        raise BadScenario(f"the scenario {path} cannot be read: {error.strerror}") from error


def _set(tables: dict[str, Any], override: str) -> None:
    key, is_given, text = override.partition("=")
    *path, last = key.split(".")
    if not is_given or not last:
        raise BadScenario(f"{override!r} is not table.key=value")
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise BadScenario(f"{override!r}: {name} is no table")
    try:
        tables[last] = msgspec.toml.decode(f"value = {text}")["value"]
    except msgspec.DecodeError:
        tables[last] = text  # a word, which TOML wants in quotes
