"""What an operator signs: that a node is theirs."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.ids import NodeIdField

CERTIFICATE_DAYS_MAX = 14
OperatorKeyField = Annotated[str, Meta(pattern=r"^U[A-Z2-7]{55}$(?!\n)")]
TimeField = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class NodeCertificate(Struct, frozen=True, kw_only=True, tag_field="type", tag="node.certificate.v1"):
    """The operator's word that a node is theirs, signed with the operator's key and carried by the node."""

    node_id: NodeIdField
    operator: OperatorKeyField
    not_after_ms: TimeField
    """Since 1970; at most CERTIFICATE_DAYS_MAX from when it is shown."""
    serial: TimeField
    """Of two certificates of one node the later one has the higher."""
