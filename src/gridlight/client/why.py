"""Why a node gets nothing, of a span of time: what the network counts now, less what it counted then."""

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.adapters.samples import sampled
from gridlight.client.errors import BadInput
from gridlight.messages.api import ReasonView, WhyResponse
from gridlight.messages.ids import NodeId
from gridlight.messages.reasons import Reason, ReasonsSample, SampledReasons

_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")


class Explanation(Struct, frozen=True, kw_only=True):
    """How often a node was considered in a span of time, and what became of it each time."""

    node_id: NodeId
    network: str
    from_ms: int
    """What is counted begins here; not always when it was asked to begin."""
    until_ms: int
    considered: int
    given: int
    """How often it was given the task."""
    reasons: list[ReasonView]
    """The most frequent first; they add up to `considered`."""
    is_agent_running: bool | None = None
    """Nothing where somebody else than its own machine asks."""


class Count(Struct, frozen=True):
    """One workload's counts of a span."""

    from_ms: int
    reasons: dict[str, int]


def length_ms(text: str) -> int:
    """`24h` in milliseconds. BadInput where it is no length of time."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"--since {text!r} is no length of time", "write it as 90s, 30m, 24h or 7d")
    return int(match[1]) * _UNITS_MS[match[2]]


def explain(
    why: WhyResponse,
    samples: list[ReasonsSample],
    since_ms: int,
    *,
    network: str,
    is_agent_running: bool | None = None,
) -> Explanation:
    """The last `since_ms`, as exactly as the samples allow, oldest first. Those of other networks are passed over:
    there the node was first known at another time.
    """
    asked_ms = why.at_ms - since_ms
    counts = [_count(sampled(one), samples, asked_ms) for one in why.workloads]
    total: dict[str, int] = {}
    for count in counts:
        for reason, tasks in count.reasons.items():
            total[reason] = total.get(reason, 0) + tasks
    said = {view.reason: view for workload in why.workloads for view in workload.reasons}
    ranked = sorted((reason for reason in total if total[reason]), key=lambda reason: -total[reason])
    views = [replace(said[reason], tasks=total[reason]) for reason in ranked]
    return Explanation(
        node_id=why.node_id,
        network=network,
        from_ms=min((count.from_ms for count in counts), default=asked_ms),
        until_ms=why.at_ms,
        considered=sum(total.values()),
        given=sum(view.tasks for view in views if view.is_given),
        reasons=views,
        is_agent_running=is_agent_running,
    )


def _count(now: SampledReasons, samples: list[ReasonsSample], asked_ms: int) -> Count:
    """Less the nearest sample before; else less the oldest there is; else all since the node was first known."""
    if now.since_ms >= asked_ms:
        return Count(now.since_ms, now.reasons)
    matching = [
        (sample.at_ms, then)
        for sample in samples
        for then in sample.workloads
        if (then.workload, then.since_ms) == (now.workload, now.since_ms)
    ]
    nearest = [one for one in matching if one[0] <= asked_ms][-1:] or matching[:1]
    for at_ms, then in nearest:
        since = difference(now.reasons, then.reasons)
        if all(tasks > 0 for tasks in since.values()):  # or somebody wrote into the file
            return Count(at_ms, since)
    return Count(now.since_ms, now.reasons)


def difference(now: dict[str, int], then: dict[str, int]) -> dict[str, int]:
    """What was counted since. What the node had in hand then is counted as if it had been given it since.

    An answer that was given before and came to nothing since is left out: it was not considered in this time.
    """
    since = {reason: tasks - then.get(reason, 0) for reason, tasks in now.items()}
    since |= {reason: -tasks for reason, tasks in then.items() if reason not in now}
    since[Reason.IN_HAND] = now.get(Reason.IN_HAND, 0)
    undone = min(since.get(Reason.DONE, 0), 0)
    if undone:
        since[Reason.DONE] = 0
        for reason in (Reason.VOID, Reason.CONTRADICTED):
            taken = min(since.get(reason, 0), -undone)
            since[reason] = since.get(reason, 0) - taken
            undone += taken
    return {reason: tasks for reason, tasks in since.items() if tasks}
