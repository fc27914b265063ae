"""One network three ways: simulated with model nodes, simulated with full nodes, and as real processes.

Each way gives a tape: the core, all that entered it, and what each event led to. Findings are read off a tape, and are
what no timing can change: whom a task went to is in none of them, nor a second node that a late one brings in.
"""

import os
import signal
import tomllib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest
import tomli_w
from msgspec import Struct
from tests.acceptance.stand import Network, running, until

from gridlight.adapters.journal import Journal
from gridlight.client.requester import Gridlight
from gridlight.core.coordinator import Coordinator
from gridlight.messages.api import RequestView
from gridlight.messages.codec import Effect, Event
from gridlight.messages.ids import AssignmentId, JobId
from gridlight.messages.jobs import EndJob, JobState, JobSubmitted, SendAssignment
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentAcknowledged
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    RecordCheck,
    RecordCommit,
    RecordFault,
    RecordVerification,
    Role,
    SettleCommits,
    Tier,
    Verification,
)
from gridlight.services.coordinator.loop import fold
from gridlight.simulation.scenario import Scenario
from gridlight.simulation.world import World

BACK_S: Final = 30.0
REST_S: Final = 60.0
CHECKS_MAX: Final = 1_000

Handled = tuple[Event, list[Effect]]


class Tape(Struct, frozen=True):
    """What one core was told, and what it said to each."""

    core: Coordinator
    handled: Sequence[Handled]

    def events(self) -> Iterator[Event]:
        """All that was told, in order."""
        return (event for event, _ in self.handled)

    def effects(self) -> Iterator[Effect]:
        """All that was said, in order."""
        return (effect for _, effects in self.handled for effect in effects)

    def asked(self) -> dict[JobId, Assurance]:
        """Jobs in the order in which they came."""
        return {event.job_id: event.assurance for event in self.events() if isinstance(event, JobSubmitted)}

    def dispatched(self) -> set[AssignmentId]:
        """Assignments of tasks and checks, with those that were made beside a late one."""
        return {one.assignment.assignment_id for one in self.effects() if isinstance(one, SendAssignment)}

    def decided(self) -> set[AssignmentId]:
        """Assignments whose results were the first ones of their tasks and checks."""
        return {
            event.assignment_id
            for event, effects in self.handled
            if isinstance(event, ResultSubmitted) and any(isinstance(one, EndJob | RecordCheck) for one in effects)
        }


class Ends(Struct, frozen=True, kw_only=True):
    """How all ended, as far as requesters and administrators can read it."""

    jobs: Counter[tuple[Assurance, JobState, Verification | None]]
    checks: Counter[tuple[Role, CheckOutcome]]
    tiers: Counter[Tier]
    clean_runs: int
    """Of all nodes together, as the next two: who had which task is drawn."""
    checks_passed: int
    faults: int


class Findings(Struct, frozen=True, kw_only=True):
    """What a run came to."""

    events: Counter[str]
    commits: int
    audited: int
    ends: Ends
    open: dict[str, int]


def findings_of(tape: Tape) -> Findings:
    """Read them off; the core holds to its own invariants."""
    tape.core.check()
    commits = [one for one in tape.effects() if isinstance(one, RecordCommit)]
    return Findings(
        events=events_of(tape),
        commits=len(commits),
        audited=sum(one.is_audited and one.is_bound for one in commits),
        ends=ends_of(tape),
        open=open_in(tape.core),
    )


def events_of(tape: Tape) -> Counter[str]:
    """By type, each job and node once, and of assignments those that decided: messages may come twice, and late."""
    decided = tape.decided()
    seen: set[tuple[str, str]] = set()
    for event in tape.events():
        match event:
            case JobSubmitted(job_id=about):
                seen.add((type(event).__name__, about))
            case NodeEnrolled(node_id=about):
                seen.add((type(event).__name__, about))
            case AssignmentAcknowledged(assignment_id=about) | ResultSubmitted(assignment_id=about):
                if about in decided:
                    seen.add((type(event).__name__, about))
            case _:
                pass  # when nodes come, how often time passes: the world's timing
    return Counter(name for name, _ in seen)


def ends_of(tape: Tape) -> Ends:
    """What was told of jobs and checks, and what nodes have earned."""
    asked, verified = tape.asked(), verified_in(tape)
    ended = {one.job_id: one.outcome.state for one in tape.effects() if isinstance(one, EndJob) and not one.is_repeated}
    standings = tape.core.reputation.snapshot()
    return Ends(
        jobs=Counter((asked[job_id], state, verified[job_id]) for job_id, state in ended.items()),
        checks=Counter((one.role, one.outcome) for one in tape.effects() if isinstance(one, RecordCheck)),
        tiers=+Counter(tape.core.reputation.tiers()),
        clean_runs=sum(array("q", standings.clean_runs)),
        checks_passed=sum(array("I", standings.passed)),
        faults=sum(isinstance(one, RecordFault) for one in tape.effects()),
    )


def verified_in(tape: Tape) -> dict[JobId, Verification | None]:
    """What each job's requester was told last. Each answer has an audit of its own, so none is settled by another's."""
    known: dict[JobId, Verification | None] = {}
    job_of: dict[int, JobId] = {}
    for effect in tape.effects():
        match effect:
            case EndJob(job_id=job_id, outcome=outcome):
                known.setdefault(job_id, outcome.verification)
            case RecordCommit(job_id=job_id):
                job_of[effect.commit] = job_id
            case RecordVerification(verification=verification):
                known[job_of[effect.commit]] = verification
            case SettleCommits():
                raise AssertionError(f"an answer was settled without an audit of its own: {effect}")
            case _:
                pass
    return known


def open_in(core: Coordinator) -> dict[str, int]:
    """What is not over yet, but for nothing of a kind; a task is kept until its last lease has ended."""
    docket = core.verification.docket
    counts = {
        "tasks": len(core.scheduling.placement.table.tasks),
        "cases": len(docket.cases),
        "provisional answers": len(docket.open),
    }
    return {what: count for what, count in counts.items() if count}


# In the simulator


def simulated(scenario: Scenario) -> Tape:
    """The simulator's run, from its first event to rest."""
    world = World(scenario, scenario.seed)
    core, handle = world.host.core, world.host.core.handle
    handled: list[Handled] = []

    def taped(now_ms: int, event: Event) -> list[Effect]:
        effects = handle(now_ms, event)
        handled.append((event, effects))
        return effects

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "handle", taped)
        world.run(lambda _stage, _done, _total: None)
    assert world.host.core is core, "a coordinator that crashed goes on as another core"
    return Tape(core, handled)


# As real processes


def run_for_real(
    scenario: Scenario, asked: Sequence[Assurance], photos: Sequence[Path], folder: Path
) -> tuple[Tape, Ends]:
    """The same network by `gridlight up`, asked the same: its journal's tape, and how it ended as one reads it."""
    nodes, references = scenario.nodes.count, scenario.fleet.references
    with (
        running(folder, nodes - references, "--references", str(references)) as network,
        closing(Journal(database_of(folder))) as journal,
        network.administrator() as requester,
    ):
        restart_coordinator(network, scenario.trust)
        until(
            lambda: is_begun(journal, scenario), BACK_S, "all nodes to lend to a coordinator with the scenario's terms"
        )
        answers = [
            requester.detect(photo, deadline_ms=scenario.demand.deadline_ms, verify=verify)
            for verify, photo in zip(asked, cycle(photos), strict=False)
        ]
        tape = until(lambda: tape_at_rest(journal), REST_S, "everything to have ended")
        return tape, ends_as_read(requester, [requester.request(answer.id) for answer in answers])


def database_of(folder: Path) -> str:
    """Where `gridlight up` keeps the coordinator's database."""
    return f"sqlite:///{folder / 'coordinator' / 'gridlight.db'}"


def restart_coordinator(network: Network, trust: dict[str, str | int | bool]) -> None:
    """As an administrator who changed the `[trust]` table: its supervisor starts it again."""
    path = network.folder / "coordinator" / "config.toml"
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    path.write_text(tomli_w.dumps(config | {"trust": trust}), encoding="utf-8")
    [pid] = network.process_ids("coordinator")
    os.kill(pid, signal.SIGTERM)


def is_begun(journal: Journal, scenario: Scenario) -> bool:
    """Whether all nodes lend to a coordinator with the scenario's parameters."""
    placement = folded(journal).core.scheduling.placement
    lending = sum(pool.online_total for lane in placement.lanes.values() for pool in lane.pools.values())
    return placement.trust == scenario.trust_parameters and lending == scenario.nodes.count


def folded(journal: Journal) -> Tape:
    """All that the journal holds, handled once more from the beginning."""
    core = Coordinator()
    handled: list[Handled] = []
    for record in journal.records_after(0):
        handled += [(event, core.handle(record.now_ms, event)) for event in record.events]
    return Tape(core, handled)


def tape_at_rest(journal: Journal) -> Tape | None:
    """None while anything is open."""
    tape = folded(journal)
    return None if open_in(tape.core) else tape


def kept_and_folded(folder: Path) -> tuple[bytes, bytes]:
    """Of a network that has stopped: the state that its coordinator kept, and what the whole journal comes to."""
    with closing(Journal(database_of(folder))) as journal:
        return fold(journal)[0].snapshot(), folded(journal).core.snapshot()


def ends_as_read(administrator: Gridlight, views: Sequence[RequestView]) -> Ends:
    """From the read models, through the gateway."""
    checks, nodes = administrator.audits(CHECKS_MAX).audits, administrator.nodes().nodes
    return Ends(
        jobs=Counter((view.result.verify, JobState(view.state), view.verification) for view in views if view.result),
        checks=Counter((check.role, check.outcome) for check in checks),
        tiers=Counter(node.tier for node in nodes if node.tier),
        clean_runs=sum(node.clean_run or 0 for node in nodes),
        checks_passed=sum(node.checks_passed or 0 for node in nodes),
        faults=sum(node.faults or 0 for node in nodes),
    )
