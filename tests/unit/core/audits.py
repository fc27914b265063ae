"""A whole coordinator whose nodes' answers are checked: who serves, and who is asked then."""

from tests.unit.core.hearing import TRUST
from tests.unit.core.world import OUTPUT, World, only, sends

from gridlight.messages.codec import Effect
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.trust import Assurance, RecordVerification, Tier, TrustParameters, Verification


def checked_world(
    *, trusted: int = 6, references: int = 0, newcomers: int = 0, trust: TrustParameters = TRUST
) -> World:
    """A settled network of nodes of two slots, each of an operator of its own."""
    world = World(trust=trust)
    world.begin_epoch(1)
    for endorsed, count in ((Tier.TRUSTED, trusted), (Tier.REFERENCE, references), (None, newcomers)):
        for _ in range(count):
            world.join(slot_count=2, endorsed=endorsed)
    return world


def serve(
    world: World,
    *,
    assurance: Assurance = Assurance.AUDITED,
    output: bytes = OUTPUT,
    pinned_node: NodeId | None = None,
    is_public: bool = False,
) -> tuple[SendAssignment, list[Effect]]:
    """A job that its node answers at once; by default one whose audit was bought."""
    send = world.assign(assurance=assurance, pinned_node=pinned_node, is_public=is_public)
    return send, world.result(send, output=output)


def next_effects(world: World, *, within_ms: int = 120_000) -> list[Effect]:
    """Time goes by until somebody is sent something, or nothing is left to wait for."""
    until_ms, effects = world.now_ms + within_ms, list[Effect]()
    while not sends(effects) and (due_ms := world.coordinator.next_deadline_ms()) is not None and due_ms <= until_ms:
        world.now_ms = max(world.now_ms, due_ms)
        effects += world.time_passed()
    return effects


def next_check(world: World) -> SendAssignment:
    """The next check that is sent."""
    (send,) = sends(next_effects(world))
    return send


def verdicts(effects: list[Effect]) -> list[Verification]:
    """What became known of single answers, in order."""
    return [one.verification for one in only(RecordVerification, effects)]
