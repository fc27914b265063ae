"""The operator's word on a node: signed with the operator's key, carried by the node, checked where it joins.

It is a signed statement: a NodeCertificate. Where the operator's key lies in the node's folder the agent signs anew
each time it joins; where it does not, the operator signs elsewhere and the folder holds what was signed. Below it stand
the successions by which the operator's key followed on the first one, a line each.
"""

from pathlib import Path
from typing import Final

from msgspec import UNSET

from gridlight.adapters.node_folder import OPERATOR_KEY_FILE
from gridlight.adapters.signatures import SigningKey, verify
from gridlight.adapters.statements import sign_statement, split_statement
from gridlight.adapters.successions import check_successions, predecessors, split_carried, successions_to
from gridlight.messages.attestations import ATTESTATION_CHARACTERS_MAX
from gridlight.messages.codec import ProtocolViolation, ViolationReason, certificates
from gridlight.messages.envelope import CERTIFICATE_DOMAIN
from gridlight.messages.ids import NodeId
from gridlight.messages.operators import CERTIFICATE_DAYS_MAX, NodeCertificate

CERTIFICATE_FILE: Final = "certificate"
"""In a node's folder, where its operator's key is not."""

ATTESTATION_FILE: Final = "attestation"
"""In a node's folder, where an issuer vouches for its operator."""

DAY_MS: Final = 86_400_000
OWN_DAYS: Final = 7
"""Half of the longest, so that a clock that is days ahead or behind keeps nobody from joining."""

_CHARACTERS_MAX: Final = 64 * 1024
SKEW_MS: Final = 3_600_000
"""By so much a machine that signs for the longest time may be ahead of the one that checks."""


class BadCertificate(ValueError):
    """A file that should hold a node's certificate does not, or it has expired."""

    def __init__(self, message: str, hint: str = "`gridlight operator bind` signs another") -> None:
        super().__init__(message)
        self.hint = hint


def certify(
    operator: SigningKey,
    node_id: NodeId,
    *,
    now_ms: int,
    days: int = CERTIFICATE_DAYS_MAX,
    successions: tuple[str, ...] = (),
) -> str:
    """The text that the node carries, with the successions that led to this key."""
    assert 0 < days <= CERTIFICATE_DAYS_MAX
    certificate = NodeCertificate(
        node_id=node_id,
        operator=operator.public,
        not_after_ms=now_ms + days * DAY_MS,
        serial=now_ms,
        lineage=check_successions(successions)[0].old_key if successions else UNSET,
    )
    return "\n".join((sign_statement(operator, CERTIFICATE_DOMAIN, certificate), *successions))


def check_certificate(text: str, node_id: NodeId, *, now_ms: int) -> NodeCertificate:
    """Whose the node is. ProtocolViolation where its operator does not say so, not of this node, or not now."""
    said, signature = split_statement(text)
    certificate = certificates.decode(said)
    if not verify(certificate.operator, CERTIFICATE_DOMAIN, said, signature):
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "it is not signed with the operator's key that it names")
    if certificate.node_id != node_id:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, f"the certificate is {certificate.node_id}'s")
    if certificate.not_after_ms <= now_ms:
        raise ProtocolViolation(ViolationReason.OUT_OF_TURN, "the certificate has expired")
    if certificate.not_after_ms > now_ms + CERTIFICATE_DAYS_MAX * DAY_MS + SKEW_MS:
        raise ProtocolViolation(
            ViolationReason.OUT_OF_TURN, f"the certificate holds for more than {CERTIFICATE_DAYS_MAX} days"
        )
    return certificate


def carried_certificate(folder: Path, node_id: NodeId, *, now_ms: int) -> str | None:
    """What the folder holds, before it goes to a network; None where it holds none. BadCertificate."""
    path = folder / CERTIFICATE_FILE
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(_CHARACTERS_MAX).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadCertificate(f"the certificate {path} cannot be read: {error}") from error
    try:
        certificate, successions = split_carried(text)
        predecessors(check_certificate(certificate, node_id, now_ms=now_ms), successions)
    except ProtocolViolation as violation:
        raise BadCertificate(f"the certificate {path} does not hold: {violation}") from violation
    return text


def brought_certificate(folder: Path, node_id: NodeId, *, now_ms: int) -> str:
    """What the folder holds; where it holds none, what its own operator's key signs now. BadCertificate."""
    carried = carried_certificate(folder, node_id, now_ms=now_ms)
    if carried is not None:
        return carried
    path = folder / OPERATOR_KEY_FILE
    try:
        operator = SigningKey.load_or_create(path)
        successions = successions_to(path, operator.public)
    except ValueError as error:
        raise BadCertificate(f"the operator's key of this node cannot be used: {error}") from error
    return certify(operator, node_id, now_ms=now_ms, days=OWN_DAYS, successions=successions)


def carried_attestation(folder: Path) -> str | None:
    """The issuer's word that the folder holds; None where it holds none. BadCertificate where it cannot be read."""
    path = folder / ATTESTATION_FILE
    try:
        with path.open(encoding="ascii") as file:
            return file.read(ATTESTATION_CHARACTERS_MAX + 1).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        hint = "`gridlight operator attest` puts another there"
        raise BadCertificate(f"the attestation {path} cannot be read: {error}", hint) from error
