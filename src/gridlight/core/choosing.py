"""Who of those that are free gets a task: the narrowest speed tier in which one is found, and those that rest last."""

from collections.abc import Container
from functools import lru_cache
from typing import Final

from msgspec import Struct

from gridlight.core.attempts import Task, tried_nodes
from gridlight.core.latency import BUCKET_LAST, bucket_of
from gridlight.core.pools import Pool
from gridlight.core.roster import Roster

Tiers = tuple[tuple[int, bool], ...]
PRIMARY_TIERS: Final[Tiers] = ((36, True), (45, False), (100, False))
HEDGE_TIERS: Final[Tiers] = ((22, True), (36, True), (45, False))
"""A node is eligible where its own p95 is at most this percentage of the task's deadline; the next, where none is free.

The narrow ones hold idle nodes only: a fast node's queue is no faster, and what waits there would make it look slow.
"""


class Choice(Struct, frozen=True, gc=False):
    """Who shall have a task, and what this says of who shall not."""

    node: int
    limit: int = BUCKET_LAST
    """The bucket up to which nodes were fast enough to be drawn."""
    over_share: tuple[int, ...] = ()
    """Who was drawn before it in the same tier, and whose operator has had its share."""


def limits_of(pool: Pool, task: Task, tiers: Tiers) -> list[tuple[int, bool]]:
    """Up to which bucket each tier with enough nodes reaches, the widest in any case; and if only idle nodes count."""
    limits = [(pool.limit_for(bucket), idle) for bucket, idle in _buckets_of(task.job.deadline_ms, tiers)]
    return [one for one in limits[:-1] if one[0] != BUCKET_LAST] + limits[-1:]


@lru_cache(maxsize=1_024)
def _buckets_of(deadline_ms: int, tiers: Tiers) -> Tiers:
    return tuple((bucket_of(deadline_ms * percent // 100), idle) for percent, idle in tiers)


def choose(
    pool: Pool,
    roster: Roster,
    task: Task,
    tiers: Tiers,
    random: int,
    *,
    resting: Container[int],
    only_idle: bool,
) -> Choice | None:
    """A node of the narrowest tier in which one is free; one that rests where there is none."""
    tried = tried_nodes(task)
    limits = limits_of(pool, task, tiers)
    for kept_back in (resting, ()):
        for limit, is_idle in limits:
            screen = roster.screen(random, tried, kept_back)
            node = pool.choose(random, limit, screen, only_idle=only_idle or is_idle)
            if node is not None:
                return Choice(node, limit, screen.over_share)
    return None


def chosen_by_name(node: int, bucket: int, trusted: Pool, task: Task) -> Choice:
    """A node that is not drawn from the trusted ones: to all others it looks as if it had been.

    So that nobody learns from what is counted about itself what another node was asked for.
    """
    limits = limits_of(trusted, task, PRIMARY_TIERS)
    return Choice(node, next((limit for limit, _ in limits if bucket <= limit), BUCKET_LAST))
