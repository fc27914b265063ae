"""One campaign: hostile nodes of every kind against one network under load, and all that could be read of it after.

First those that go on lying, as newcomers in the shadow and as the founder's own that were taken over. Then those that
slept until a signal: two who cover for each other, and one who tries to answer only checks honestly. While these are
at it every request is arbitrated, since two who are drawn to check each other can pass one lie as right. Fewer ask
then: what the reference nodes cannot look at in time is void.
"""

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct
from tests.acceptance.hostile.lies import Behaviour
from tests.acceptance.hostile.nodes import ROOT, HostileNode, Recruit, recruited
from tests.acceptance.hostile.requesting import Asked, Requesters, pictures, variants
from tests.acceptance.stand import Network, running, until

from gridlight.client.requester import Gridlight
from gridlight.messages.api import NodeView, RequestView
from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.trust import Assurance, Tier, Verification

HONEST: Final = 7
REFERENCES: Final = 2
REQUESTERS: Final = 8
ARBITRATING: Final = 3
PICTURES: Final = 60
JOIN_S: Final = 90.0
CAUGHT_S: Final = 90.0
SETTLED_S: Final = 30.0
LOOK_S: Final = 0.2

SAMPLED: Final = (*[Assurance.SAMPLED] * 9, Assurance.AUDITED)
ARBITRATED: Final = (Assurance.ARBITRATED,)

OTHER_MODEL: Final = Path(
    os.environ.get("GRIDLIGHT_OTHER_MODEL", ROOT.parent / "shared" / "models" / "yolox_nano.onnx")
)
"""A smaller detector, where there is one on this machine."""

TWINS: Final = ("twin 1", "twin 2")
COLLUDERS: Final = ("colluder 1", "colluder 2")
GUESSER: Final = "guessing"
LATE: Final = "works-then-cheats"
LATE_AND_ENDORSED: Final = "works-then-cheats (endorsed)"
SLEEPERS: Final = (*COLLUDERS, GUESSER)
FAULTLESS: Final = frozenset({Behaviour.SILENT, Behaviour.VANISHING, Behaviour.OLD_WORD, Behaviour.OTHERS_DIGEST})
"""They give no answer that could be wrong."""


def recruits() -> list[Recruit]:
    """Everybody of the campaign; those that need no worker first, since they are up soonest.

    No two who serve at the same time tell the same lie, but those in a plot: who agrees by accident colludes, too.
    """
    made_up = (Behaviour.EMPTY, Behaviour.RANDOM, Behaviour.REPLAYED, Behaviour.CHEAPER)
    altered = (Behaviour.LABEL_SWAP, Behaviour.SHIFTED, Behaviour.INFLATED)
    taken_over = (Behaviour.EMPTY, Behaviour.REPLAYED, Behaviour.SHIFTED, Behaviour.INFLATED, Behaviour.CHEAPER)
    found = [
        *(Recruit(behaviour=behaviour, is_endorsed=True) for behaviour in sorted(FAULTLESS)),
        *(Recruit(behaviour=behaviour) for behaviour in (*made_up, *altered)),
        *(Recruit(behaviour=behaviour, is_endorsed=True) for behaviour in taken_over),
        Recruit(behaviour=Behaviour.LABEL_SWAP, name=LATE, options=("--once-trusted",)),
        Recruit(behaviour=Behaviour.MISSING, name=LATE_AND_ENDORSED, is_endorsed=True, options=("--honest", "32")),
        *colluding(TWINS, "--honest", "12", operator_of=TWINS[0]),
        *colluding(COLLUDERS, "--on-signal"),
        Recruit(behaviour=Behaviour.GUESSING, name=GUESSER, is_endorsed=True, options=("--on-signal",)),
    ]
    if OTHER_MODEL.exists():
        found.append(Recruit(behaviour=Behaviour.OTHER_MODEL, is_endorsed=True, options=("--model", str(OTHER_MODEL))))
    return found


def colluding(names: Sequence[str], *options: str, operator_of: str | None = None) -> list[Recruit]:
    """Those who say the same."""
    return [
        Recruit(
            behaviour=Behaviour.COLLUDING,
            name=name,
            is_endorsed=True,
            options=options,
            operator_of=None if name == operator_of else operator_of,
        )
        for name in names
    ]


class Fate(Struct, kw_only=True):
    """What became of one hostile node; the counts of requests are the whole network's."""

    recruit: Recruit
    node: NodeView
    given: int
    lies: int
    asked_before_first_fault: int | None
    asked_before_ban: int | None
    served: int
    wrong: dict[Verification, int]
    """Of the answers that it served, those that were wrong, by what became of them."""


class Campaign(Struct, kw_only=True):
    """All that was seen."""

    fates: dict[str, Fate]
    honest: list[NodeView]
    asked: list[Asked]
    views: dict[JobId, RequestView]
    refused_replies: dict[str, int]
    met: set[frozenset[str]]
    """Who was asked to check whom, by what they are called; honest nodes by their ids."""
    left_ms: dict[bool, list[int]]
    """What was left until the deadline of the sleepers' tasks: of requesters' own, and of all others."""


class Lookout:
    """Reads the public list of nodes, and notes when something is first seen of a hostile one."""

    def __init__(self, requester: Gridlight, hostile: Iterable[HostileNode], asked: Sequence[Asked]) -> None:
        self.nodes: dict[NodeId, NodeView] = {}
        self.first_fault: dict[NodeId, int] = {}
        self.ban: dict[NodeId, int] = {}
        self._requester = requester
        self._hostile = list(hostile)
        self._asked = asked

    def look(self) -> None:
        """Read it once, and wait a little before the next time."""
        time.sleep(LOOK_S)
        self.nodes = {view.node_id: view for view in self._requester.nodes().nodes}
        count = len(self._asked)
        for view in self.nodes.values():
            if view.faults:
                self.first_fault.setdefault(view.node_id, count)
            if view.tier is Tier.BANNED:
                self.ban.setdefault(view.node_id, count)

    def all_joined(self) -> bool:
        """Whether every hostile node lends something, or was seen to."""
        self.look()
        dead = [one for one in self._hostile if one.process.poll() is not None]
        assert not dead, f"{dead[0].recruit.called} ended: {dead[0].log_tail()}"
        known = [self.nodes.get(one.node_id) for one in self._hostile]
        return all(view is not None and view.workloads for view in known)

    def all_banned(self, called: Iterable[str]) -> bool:
        """Whether those are out."""
        self.look()
        wanted = set(called)
        return all(one.node_id in self.ban for one in self._hostile if one.recruit.called in wanted)


def carry_out(photos: Sequence[Path], folder: Path) -> Campaign:
    """The whole campaign."""
    with (
        running(folder / "network", HONEST, "--references", str(REFERENCES)) as network,
        network.administrator() as administrator,
        recruited(network.url, network.folder, folder / "hostile", recruits()) as hostile,
    ):
        known = pictures(administrator, list(network.agents()), variants(photos, PICTURES, seed=1))
        joined = Lookout(administrator, hostile, ())
        until(joined.all_joined, JOIN_S, "every hostile node to join")
        with Requesters(network.url, known, REQUESTERS, SAMPLED) as requesters:
            lookout = Lookout(administrator, hostile, requesters.asked)
            first = [
                one.recruit.called
                for one in hostile
                if one.recruit.behaviour not in FAULTLESS and one.recruit.called not in SLEEPERS
            ]
            until(lambda: lookout.all_banned(first), CAUGHT_S, "the first wave to be banned")
            requesters.change_levels(ARBITRATED, ARBITRATING)
            for one in hostile:
                if one.recruit.called in SLEEPERS:
                    one.tell_to_lie()
            until(lambda: lookout.all_banned(SLEEPERS), CAUGHT_S, "the second wave to be banned")
        views = settled_views(administrator, requesters.asked)
        lookout.look()
        return gathered(network, hostile, lookout, requesters.asked, views)


def settled_views(requester: Gridlight, asked: Sequence[Asked]) -> dict[JobId, RequestView]:
    """How every answered request stands, once those that were answered wrongly or are disputed stand for good."""
    wrong = {one.answer.id: one.is_wrong for one in asked if one.answer is not None}
    views: dict[JobId, RequestView] = {}

    def are_settled() -> bool:
        ids = [job_id for job_id in wrong if job_id not in views or is_awaited(views[job_id], is_wrong=wrong[job_id])]
        with ThreadPoolExecutor(4) as pool:
            views.update(zip(ids, pool.map(requester.request, ids), strict=True))
        return not ids

    until(are_settled, SETTLED_S, "wrong and disputed answers to be settled")
    return views


def is_awaited(view: RequestView, *, is_wrong: bool) -> bool:
    """Whether what is known of an answer is not yet what the campaign is about."""
    return view.verification is Verification.DISPUTED or (is_wrong and view.verification is Verification.PROVISIONAL)


def gathered(
    network: Network,
    hostile: Sequence[HostileNode],
    lookout: Lookout,
    asked: Sequence[Asked],
    views: dict[JobId, RequestView],
) -> Campaign:
    """What was seen, by who it was."""
    own = network.agents()
    return Campaign(
        fates={one.recruit.called: fate_of(one, lookout, asked, views) for one in hostile},
        honest=[lookout.nodes[node_id] for node_id in own],
        asked=list(asked),
        views=views,
        refused_replies=refused_replies(network.url),
        met=meetings(network, {one.node_id: one.recruit.called for one in hostile}),
        left_ms=left_of([one for one in hostile if one.recruit.called in SLEEPERS], asked),
    )


def fate_of(one: HostileNode, lookout: Lookout, asked: Sequence[Asked], views: dict[JobId, RequestView]) -> Fate:
    """What became of one of them."""
    tasks = one.tasks()
    served = [request for request in asked if request.answer is not None and request.answer.node_id == one.node_id]
    wrong: dict[Verification, int] = {}
    for request in served:
        if request.is_wrong and request.answer is not None:
            known = views[request.answer.id].verification or Verification.UNVERIFIED
            wrong[known] = wrong.get(known, 0) + 1
    return Fate(
        recruit=one.recruit,
        node=lookout.nodes[one.node_id],
        given=len(tasks),
        lies=sum(task.is_lie for task in tasks),
        asked_before_first_fault=lookout.first_fault.get(one.node_id),
        asked_before_ban=lookout.ban.get(one.node_id),
        served=len(served),
        wrong=wrong,
    )


def refused_replies(url: str) -> dict[str, int]:
    """The gateway's count of replies that broke the protocol, by reason."""
    head = 'gridlight_replies_rejected_total{reason="'
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    counted = [line.removeprefix(head).split('"} ') for line in lines if line.startswith(head)]
    return {reason: int(float(count)) for reason, count in counted}


def meetings(network: Network, names: dict[NodeId, str]) -> set[frozenset[str]]:
    """Pairs of nodes of which one was asked to check what the other had answered."""
    with network.administrator() as administrator:
        checks = [check for node_id in names for check in administrator.audits(1_000, node=node_id).audits]
    return {
        frozenset(str(names.get(node_id, node_id)) for node_id in (check.node_id, check.primary_id))
        for check in checks
        if check.node_id is not None and check.primary_id is not None
    }


def left_of(sleepers: Iterable[HostileNode], asked: Sequence[Asked]) -> dict[bool, list[int]]:
    """A requester's task is known by when it was asked what the node then served; all others are checks, or hedges."""
    left_ms: dict[bool, list[int]] = {True: [], False: []}
    for one in sleepers:
        served = [request for request in asked if request.answer is not None and request.answer.node_id == one.node_id]
        for task in one.tasks():
            is_requesters = any(
                request.picture.input_digest == task.input_digest
                and request.ended.started_s < task.at_s < request.ended.ended_s
                for request in served
            )
            left_ms[is_requesters].append(task.deadline_ms)
    return left_ms


def table(campaign: Campaign) -> str:
    """One line for each hostile node."""
    head = (
        "",
        "tier",
        "faults",
        "given",
        "lies",
        "fault at",
        "ban at",
        "served",
        "wrong",
        "corrected",
        "void",
        "final",
    )
    rows = [head, *(row(name, fate) for name, fate in campaign.fates.items())]
    return "\n".join(f"{one[0]:<29}" + "".join(f"{cell:>10}" for cell in one[1:]) for one in rows)


def row(name: str, fate: Fate) -> tuple[str, ...]:
    """A line of the table."""
    ends = (Verification.CORRECTED, Verification.VOID, Verification.FINAL)
    seen = (fate.asked_before_first_fault, fate.asked_before_ban)
    return (
        name,
        str(fate.node.tier),
        *(str(one) for one in (fate.node.faults, fate.given, fate.lies)),
        *("-" if one is None else str(one) for one in seen),
        *(str(one) for one in (fate.served, sum(fate.wrong.values()))),
        *(str(fate.wrong.get(end, 0)) for end in ends),
    )
