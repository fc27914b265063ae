"""The envelope of a bus message: JSON and signature in headers, payload as raw body.

The signature is over a domain tag and the header's bytes as received, so there is no canonical form to argue over;
the body is bound by its digest inside the message.
"""

MESSAGE_HEADER = "Gridlight-Message"
SIGNATURE_HEADER = "Gridlight-Signature"
"""Base64 of the 64 bytes of Ed25519."""
NONCE_HEADER = "Gridlight-Nonce"
SUCCESSIONS_HEADER = "Gridlight-Successions"
"""Where what is signed is the nonce alone: the node proves that it is the one that asks."""

REPLY_DOMAIN = b"gridlight.node.reply.v1\0"
ENROLMENT_DOMAIN = b"gridlight.node.enrolment.v1\0"
ENDORSEMENT_DOMAIN = b"gridlight.node.endorsement.v1\0"
CERTIFICATE_DOMAIN = b"gridlight.node.certificate.v1\0"
SUCCEEDED_DOMAIN = b"gridlight.operator.succeeded.v1\0"
SUCCEEDING_DOMAIN = b"gridlight.operator.succeeding.v1\0"
"""The old key's signature on a succession, and the new key's."""
REASONS_DOMAIN = b"gridlight.node.reasons.v1\0"
EARNINGS_DOMAIN = b"gridlight.node.earnings.v1\0"
PAYOUT_DOMAIN = b"gridlight.operator.payout.v1\0"
PAYOUT_ASKED_DOMAIN = b"gridlight.operator.payout.asked.v1\0"
PUBLICATION_DOMAIN = b"gridlight.workload.publication.v1\0"
COUNTERSIGNATURE_DOMAIN = b"gridlight.workload.countersignature.v1\0"
STOP_DOMAIN = b"gridlight.workload.stop.v1\0"
UPLOAD_DOMAIN = b"gridlight.workload.upload.v1\0"


def signed_bytes(domain: bytes, message: bytes) -> bytes:
    """What is signed: a domain tag, so that no signature serves in another place, and the message as sent."""
    assert domain.endswith(b"\0")
    return domain + message
