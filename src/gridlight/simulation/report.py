"""What a run found: `report.json` for programs, and the same in lines for a person."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gridlight.core.counts import Count
from gridlight.simulation.incentives import Incentives, incentives_of, said
from gridlight.simulation.measures import Interval, bucket_quantile_ms
from gridlight.simulation.verified import (
    REPLICATION_TARGET,
    WRONG_TARGET,
    TrustMoment,
    Verified,
    poisson_upper95,
    trust_moments,
    verified_of,
    wrong_accept,
)
from gridlight.simulation.world import World

JSON_FILE: Final = "report.json"

WITHIN_TARGET: Final = 0.9999
EXTRA_TARGET: Final = 0.10


class Instruments(Struct, frozen=True, kw_only=True):
    """What a run is measured with; the simulator itself reads no clock."""

    clock_ms: Callable[[], int]
    rss_mib: Callable[[], int]
    """The most that this process has taken so far."""
    commit: str | None


class Quantiles(Struct, frozen=True, kw_only=True):
    """Of what answered requesters waited, in milliseconds."""

    p50: int | None
    p90: int | None
    p99: int | None
    p999: int | None
    p9999: int | None


class Target(Struct, frozen=True, kw_only=True):
    """A figure that is wished for, and whether this run had it. A miss is said as a miss."""

    name: str
    target: str
    measured: str
    is_met: bool


class Moment(Struct, frozen=True, kw_only=True):
    """A stretch of the run, for plots."""

    at_s: int
    answered: int
    missed: int
    refused: int
    events: int
    nodes_here: int
    p50_ms: int | None
    p99_ms: int | None


class Report(Struct, frozen=True, kw_only=True):
    """One run of one scenario with one seed. All nodes are simulated; none of them is a machine."""

    scenario: str
    description: str
    command: str
    seed: int
    commit: str | None
    trace_digest: str
    nodes: int
    nodes_are: str = "simulated"
    cpus: int
    simulated_s: int
    tasks: int
    """Jobs that were not refused."""
    done: int
    refused: dict[str, int]
    failed: dict[str, int]
    unanswered: int
    """Answered by the gateway itself, since the coordinator was not heard in time."""
    deadline_ms: int
    within_deadline: float
    within_deadline_lower95: float
    latency_ms: Quantiles
    dispatches: int
    extra_dispatches: float
    """Hedges and replacements, a task. Checks are in replication."""
    wrong_accept_final: float
    """Wrong ones of the answers that were finally accepted."""
    wrong_accept_upper95: float
    """What that share is at most, with 95 % confidence."""
    replication: float
    """Runs a committed answer: its own, audits, canaries and reference runs."""
    replication_with_shadows: float
    honest_banned: int
    verified: Verified
    incentives: Incentives | None
    """What nodes earned for their CPU time, where the scenario has money."""
    scheduling: dict[str, int]
    attempts: dict[int, int]
    vanished: int
    left: int
    faults: dict[str, int]
    events: int
    """From the moment on from which is counted; nodes had come before."""
    events_by_type: dict[str, int]
    """Of the whole run."""
    wall_s: float
    events_per_second: int
    us_per_event: float
    rss_mib: int
    checks: list[str]
    replays: int
    targets: list[Target]
    over_time: list[Moment]
    trust_over_time: list[TrustMoment]
    waits: list[tuple[int, int]]
    """Milliseconds and how many waited so long, where anybody did."""


def make_report(world: World, *, name: str, command: str, wall_ms: int, instruments: Instruments) -> Report:
    """Read everything off a world that has come to rest."""
    host = world.host
    events = host.events - world.events_before
    return Report(
        scenario=name,
        description=world.scenario.description,
        command=command,
        seed=world.seed,
        commit=instruments.commit,
        trace_digest=host.trace_digest,
        nodes=world.population.count,
        cpus=sum(world.population.slots),
        simulated_s=(world.rested_ms - world.measured_from_ms) // 1_000,
        vanished=world.attendance.vanished,
        left=world.attendance.left,
        faults=_faults_of(world),
        events=events,
        events_by_type={kind.__name__: number for kind, number in host.events_by_type.items()},
        wall_s=wall_ms / 1_000,
        events_per_second=events * 1_000 // max(wall_ms, 1),
        us_per_event=round(wall_ms * 1_000 / max(events, 1), 2),
        rss_mib=instruments.rss_mib(),
        checks=_checks_of(world),
        replays=host.replays,
        **_for_requesters(world),
    )


def _for_requesters(world: World) -> dict[str, Any]:
    """What became of what they asked."""
    measures, truth, counts = world.measures, world.truth, counts_of(world)
    tasks, deadline_ms = measures.tasks, world.scenario.demand.deadline_ms
    within = measures.within_deadline / tasks if tasks else 0.0
    lower = within_lower95(tasks - measures.within_deadline, tasks)
    extra = counts[Count.DISPATCHED] / tasks - 1 if tasks else 0.0
    wrong, wrong_upper = wrong_accept(world)
    targets = weigh(deadline_ms, within=within, lower=lower, extra=extra)
    return {
        "tasks": tasks,
        "done": measures.done,
        "refused": measures.refused_by_code,
        "failed": measures.failed_by_code,
        "unanswered": measures.unanswered_count,
        "deadline_ms": deadline_ms,
        "within_deadline": within,
        "within_deadline_lower95": lower,
        "latency_ms": Quantiles(**{name: measures.wait_quantile_ms(part) for name, part in QUANTILES.items()}),
        "dispatches": counts[Count.DISPATCHED],
        "extra_dispatches": extra,
        "wrong_accept_final": wrong,
        "wrong_accept_upper95": wrong_upper,
        "replication": truth.replication(),
        "replication_with_shadows": truth.replication(with_shadows=True),
        "honest_banned": truth.honest_banned,
        "verified": verified_of(world),
        "incentives": incentives_of(world),
        "scheduling": {count.value: number for count, number in counts.items()},
        "attempts": dict(sorted(measures.attempts.items())),
        "targets": [*targets, *weigh_verification(world, wrong=wrong, upper=wrong_upper), *weigh_incentives(world)],
        "over_time": [_moment(world, place, one) for place, one in enumerate(measures.intervals) if one.events],
        "trust_over_time": trust_moments(world),
        "waits": [(wait_ms, count) for wait_ms, count in enumerate(measures.waits) if count],
    }


QUANTILES: Final = {"p50": 500_000, "p90": 900_000, "p99": 990_000, "p999": 999_000, "p9999": 999_900}


def weigh(deadline_ms: int, *, within: float, lower: float, extra: float) -> list[Target]:
    """The design's two figures against what came out."""
    return [
        Target(
            name=f"tasks answered within {deadline_ms / 1_000:g} s",
            target=f"at least {WITHIN_TARGET:.2%}",
            measured=f"{within:.4%}, at least {lower:.4%} with 95 % confidence",
            is_met=within >= WITHIN_TARGET,
        ),
        Target(
            name="extra dispatches a task",
            target=f"at most {EXTRA_TARGET:.0%}",
            measured=f"{extra:.2%}",
            is_met=extra <= EXTRA_TARGET,
        ),
    ]


def weigh_verification(world: World, *, wrong: float, upper: float) -> list[Target]:
    """What checking is for, and what it may cost; nothing is said of wrong answers where nothing was accepted."""
    truth, replication = world.truth, world.truth.replication()
    is_told = truth.finals > 0
    of_wrong = Target(
        name="wrong answers among those finally accepted",
        target=f"at most {WRONG_TARGET:g}",
        measured=f"{wrong:.2g} of {truth.finals:,}, at most {upper:.2g} with 95 % confidence",
        is_met=wrong <= WRONG_TARGET,
    )
    of_replication = Target(
        name="replication",
        target=f"at most {REPLICATION_TARGET}",
        measured=f"{replication:.4f}; {truth.replication(with_shadows=True):.4f} with newcomers' shadow runs",
        is_met=replication <= REPLICATION_TARGET,
    )
    return [of_wrong, of_replication] if is_told else [of_replication]


def weigh_incentives(world: World) -> list[Target]:
    """Ill will must not pay; asked where there is money, and ill will."""
    found = incentives_of(world)
    if found is None or found.beside_honest is None:
        return []
    rate = found.beside_honest
    measured = f"{rate.figure:.3f}, between {rate.lower95:.3f} and {rate.upper95:.3f} with 95 % confidence"
    return [
        Target(
            name="what ill will earns for its CPU time, as a part of what honesty does",
            target="not above 1",
            measured=f"{measured}: {found.verdict}",
            is_met=rate.lower95 <= 1,
        )
    ]


def within_lower95(misses: int, tasks: int) -> float:
    """The share that is within with 95 % confidence, one-sided: misses are few among many, and so taken as Poisson."""
    if not tasks:
        return 0.0
    return max(0.0, 1 - poisson_upper95(misses) / tasks)


def write_json(report: Report, folder: Path) -> Path:
    """`report.json` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JSON_FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return path


def summary(report: Report) -> list[str]:
    """For a terminal: a line for each thing that is asked first, misses included."""
    latency, refused = report.latency_ms, sum(report.refused.values())
    failed = ", ".join(f"{count} {code}" for code, count in report.failed.items()) or "none"
    befell = ", ".join(f"{count} {kind}" for kind, count in report.faults.items()) or "none"
    return [
        f"{report.scenario}, seed {report.seed}: {report.nodes:,} simulated nodes with {report.cpus:,} CPUs, "
        f"{report.simulated_s:,} simulated seconds",
        f"tasks            {report.tasks:,}, done {report.done:,}; failed: {failed}; unanswered {report.unanswered}",
        f"refused          {refused:,}",
        *(
            f"{'target met' if one.is_met else 'MISSED':<16} {one.name}: {one.measured} ({one.target})"
            for one in report.targets
        ),
        f"latency          p50 {latency.p50} ms, p99 {latency.p99}, p99.9 {latency.p999}, p99.99 {latency.p9999}",
        _said_of_answers(report),
        *([] if report.incentives is None else [f"earned           {said(report.incentives)}"]),
        f"nodes            {report.verified.banned:,} banned, {report.honest_banned:,} of them honest; "
        f"{report.verified.honest_faulted:,} faults of honest nodes; {report.verified.renewed:,} came back as others",
        f"faults           {befell}; {report.vanished:,} nodes vanished, {report.left:,} left",
        f"events           {report.events:,} in {report.wall_s:.1f} s: {report.events_per_second:,} a second, "
        f"{report.us_per_event} us each; {report.rss_mib} MiB",
        f"checked          {'; '.join(report.checks)}",
        f"trace digest     {report.trace_digest}",
    ]


def _said_of_answers(report: Report) -> str:
    found = report.verified
    will = f"{found.adversaries:,} {found.strategy} among nodes" if found.strategy else "no ill will"
    return (
        f"answers          {will}; {found.committed:,} committed, {found.final:,} final, "
        f"{found.corrected:,} corrected, {found.void:,} void; "
        f"{found.provisional_wrong:,} wrong when served, {found.wrong_final:,} when final"
    )


def counts_of(world: World) -> dict[Count, int]:
    """What scheduling counted from the moment on from which is counted."""
    counts = world.host.core.scheduling.placement.counts
    return {count: number - world.counts_before[count] for count, number in counts.items()}


def _faults_of(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for fault in world.breaker.begun:
        found[fault.kind.value] = found.get(fault.kind.value, 0) + 1
    return found


def _checks_of(world: World) -> list[str]:
    checks = world.scenario.checks
    said = ["at rest after faults, and settled", "the core's own at the end"]
    if checks.account:
        said.append("every effect against an account")
    if checks.core_each:
        said.append(f"the core's own each {checks.core_each:,} events")
    if world.host.replays:
        said.append(f"journal folded {world.host.replays} times")
    return said


def _moment(world: World, place: int, interval: Interval) -> Moment:
    return Moment(
        at_s=place * world.measures.span.interval_ms // 1_000,
        answered=interval.answered,
        missed=interval.missed,
        refused=interval.refused,
        events=interval.events,
        nodes_here=interval.nodes_here,
        p50_ms=bucket_quantile_ms(interval.waits, 500_000),
        p99_ms=bucket_quantile_ms(interval.waits, 990_000),
    )
