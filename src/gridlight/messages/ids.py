"""Ids and digests: each a type of its own, so that one cannot be passed for another."""

from typing import Annotated, NewType

from msgspec import Meta

NodeId = NewType("NodeId", str)
"""A node's public nkey: `U` and 55 characters of base32; the node's name everywhere."""

GatewayId = NewType("GatewayId", str)
"""One gateway process's id, a NATS subject token, stable over reconnects and new at each start."""

JobId = NewType("JobId", str)
"""`req_` and 26 characters; made by the gateway, shown to the requester."""

AccountId = NewType("AccountId", str)
"""`acc_` and 16 characters: a requester's account, to which what its keys ask for is put down."""

AssignmentId = NewType("AssignmentId", str)
"""16 hex digits drawn by the core; tells a node neither the task nor the attempt's number."""

WorkloadId = NewType("WorkloadId", str)
"""`name@sha256:<64 hex>`: a workload's name and the digest of its manifest."""

Blake3Digest = NewType("Blake3Digest", str)
"""64 hex digits of BLAKE3 over payload or result bytes."""

# The same types as fields of untrusted messages: checked by the codec. In Python's patterns `$` alone also matches
# before a last newline, which would then stand in a subject.
NodeIdField = Annotated[NodeId, Meta(pattern=r"^U[A-Z2-7]{55}$(?!\n)")]
GatewayIdField = Annotated[GatewayId, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]
JobIdField = Annotated[JobId, Meta(pattern=r"^req_[0-9a-z]{26}$(?!\n)")]
AccountIdField = Annotated[AccountId, Meta(pattern=r"^acc_[0-9a-z]{16}$(?!\n)")]
AssignmentIdField = Annotated[AssignmentId, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
WorkloadIdField = Annotated[WorkloadId, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}@sha256:[0-9a-f]{64}$(?!\n)")]
Blake3Field = Annotated[Blake3Digest, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
