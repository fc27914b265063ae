"""What issuers' words on operators mean for their nodes: who is one person, and who is held back from being trusted."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec import UNSET

from gridlight.core.door import Bar
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import AttestationsHeld, Attested, BarCode, Hold


class Persons:
    """Which nodes ever were a person's."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[int, None]] = {}
        """By nullifier."""

    def add(self, enrolled: NodeEnrolled, node: int) -> None:
        """The node is its operator's, if anybody vouches for who that is."""
        attested = enrolled.attested
        if isinstance(attested, Attested):
            self._nodes.setdefault(attested.nullifier, {})[node] = None

    def others_of(self, enrolled: NodeEnrolled) -> Iterable[int]:
        """Nodes that had the same person once, this one perhaps among them."""
        attested = enrolled.attested
        return self._nodes.get(attested.nullifier, ()) if isinstance(attested, Attested) else ()


def is_vouched_for(enrolled: NodeEnrolled, words: AbstractSet[tuple[str, int]]) -> bool:
    """By one of these words: each an issuer, and the word's place in its status list."""
    attested = enrolled.attested
    return isinstance(attested, Attested) and (attested.issuer, attested.index) in words


def personal_bar(enrolled: NodeEnrolled, online: Iterable[NodeEnrolled]) -> Bar | None:
    """Why a node may not be there beside those that are: a person is one operator at a time, with so many devices."""
    attested = enrolled.attested
    if not isinstance(attested, Attested):
        return None
    others = [
        one
        for one in online
        if one.node_id != enrolled.node_id
        and isinstance(one.attested, Attested)
        and one.attested.nullifier == attested.nullifier
    ]
    if any(one.operator != enrolled.operator for one in others):
        return Bar(BarCode.PERSON_TAKEN)
    return Bar(BarCode.TOO_MANY_DEVICES) if len(others) >= attested.devices_max else None


class Holds:
    """Why nodes are not trusted where their clean run alone would have them so."""

    def __init__(self, holds: Mapping[str, Hold] = {}) -> None:
        self._of_issuers = dict(holds)
        """What the age of an issuer's status list means for the nodes that it attests."""

    def hear(self, event: AttestationsHeld) -> None:
        """A gateway's word on the age of an issuer's list; the last one stands."""
        self._of_issuers.pop(event.issuer, None)
        if event.hold is not None:
            self._of_issuers[event.issuer] = event.hold

    def of(self, enrolled: NodeEnrolled) -> Hold | None:
        """Of one node. The founder's own word on it goes before an issuer's."""
        attested = enrolled.attested
        if enrolled.endorsed is not None or not isinstance(attested, Attested):
            return None
        return self._of_issuers.get(attested.issuer) if attested.hold is UNSET else attested.hold

    def snapshot(self) -> dict[str, Hold]:
        """The state, to be encoded at once."""
        return self._of_issuers
