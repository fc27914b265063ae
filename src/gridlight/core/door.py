"""Who may join, and why not: what administrators ruled of nodes and operators. Fleet asks it, and bars who is in."""

from msgspec import Struct

from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import Attested, BarCode, KeyRuled, Verdict


class Bar(Struct, frozen=True):
    """Why a node is not taken."""

    code: BarCode
    reason: str = ""


class DoorSnapshot(Struct):
    """What was ruled, as plain values."""

    banned: dict[str, str] = {}
    revoked: dict[str, Bar] = {}
    revoked_until: dict[str, int] = {}
    persons: dict[str, str] = {}


class Door:
    """What was ruled of keys; a node stands under its own and its operator's. Only administrators make it grow."""

    def __init__(self, snapshot: DoorSnapshot | None = None) -> None:
        ruled = snapshot or DoorSnapshot()
        self._banned = dict(ruled.banned)
        """Key to reason."""
        self._revoked = dict(ruled.revoked)
        self._revoked_until = dict(ruled.revoked_until)
        """Key to the highest serial of a certificate that does not hold any more."""
        self._persons = dict(ruled.persons)
        """Nullifier to the operator's key that was banned: another key of the same person does not help."""

    def rule(self, event: KeyRuled, keys: tuple[str, ...]) -> None:
        """Take an administrator's word; the last one on a key stands. `keys` are all of its lineage."""
        if event.verdict is Verdict.BANNED:
            self._banned[event.key] = event.reason
        elif event.verdict is Verdict.ALLOWED:
            for one in keys:
                self._banned.pop(one, None)
            self._persons = {nullifier: key for nullifier, key in self._persons.items() if key not in keys}
        else:
            self._revoked[event.key] = Bar(BarCode.CERTIFICATE_REVOKED, event.reason)
            self._revoked_until[event.key] = max(event.revoked_until, self._revoked_until.get(event.key, 0))

    def bar(self, enrolled: NodeEnrolled, keys: tuple[str, ...]) -> Bar | None:
        """Why this node may not be in the network; None where it may. `keys` are its operator's, all of the lineage.

        A banned operator's person is remembered.
        """
        attested = enrolled.attested
        if isinstance(attested, Attested):
            banned = next((key for key in keys if key in self._banned), None)
            if banned is not None:
                self._persons.setdefault(attested.nullifier, banned)
            elif attested.nullifier in self._persons:
                return Bar(BarCode.BANNED, self._banned[self._persons[attested.nullifier]])
        for key in (enrolled.node_id, *keys):
            if key in self._banned:
                return Bar(BarCode.BANNED, self._banned[key])
            serial = enrolled.certificate_serial
            if isinstance(serial, int) and serial <= self._revoked_until.get(key, -1):
                return self._revoked[key]
        return None

    def snapshot(self) -> DoorSnapshot:
        """The state, to be encoded at once."""
        return DoorSnapshot(self._banned, self._revoked, self._revoked_until, self._persons)
