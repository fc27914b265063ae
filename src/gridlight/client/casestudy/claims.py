"""The reference's statements and our own, each held against what was measured.

The reference is the public proof of concept by Pi Network and OpenMind: a coordinator, seven volunteers' nodes, and
recognition of what is in a photo.
"""

from collections.abc import Sequence

from gridlight.client.casestudy.findings import Claim, NodeFindings, PhotoFindings, RequestFindings

NODES = 7
ACK_MS_MAX = 1_000
RESULT_MS_MAX = 4_000
ANSWERED_PER_MILLE_MIN = 995
LABELS = ("bus", "person")
BUS_PHOTO = "bus.jpg"


def weigh_claims(
    nodes: Sequence[NodeFindings], requests: RequestFindings, photos: Sequence[PhotoFindings], *, is_disturbed: bool
) -> list[Claim]:
    """The reference's claims; with nodes killed and frozen also what Gridlight promises then."""
    claims = [
        claim_nodes(nodes),
        claim_acks(nodes),
        claim_results(nodes),
        claim_labels(photos),
    ]
    if is_disturbed:
        claims += [claim_in_time(requests), claim_answered(requests)]
    return claims


def claim_nodes(nodes: Sequence[NodeFindings]) -> Claim:
    """Seven took part."""
    serving = sum(node.answered > 0 for node in nodes)
    return Claim(
        source="reference",
        claim="Seven nodes take part and answer.",
        measured=f"{serving} of {len(nodes)} nodes answered tasks. Here they are processes on one machine, not homes.",
        held=serving >= NODES and serving == len(nodes),
    )


def claim_acks(nodes: Sequence[NodeFindings]) -> Claim:
    """Acknowledged within a second, by every node."""
    prompt = sum(is_whole(node) and node.ack_ms is not None and node.ack_ms.max < ACK_MS_MAX for node in nodes)
    slowest = max((node.ack_ms.max for node in nodes if node.ack_ms), default=None)
    return Claim(
        source="reference",
        claim="Every node acknowledges every task within 1 s.",
        measured=f"{prompt} of {len(nodes)} nodes did; {slowest_words(slowest, 'ack')}{missing_words(nodes)}.",
        held=prompt == len(nodes) > 0,
    )


def claim_results(nodes: Sequence[NodeFindings]) -> Claim:
    """Returned within four seconds, by every node."""
    prompt = sum(is_whole(node) and node.result_ms is not None and node.result_ms.max < RESULT_MS_MAX for node in nodes)
    slowest = max((node.result_ms.max for node in nodes if node.result_ms), default=None)
    return Claim(
        source="reference",
        claim="Every node returns every result within 4 s.",
        measured=f"{prompt} of {len(nodes)} nodes did; {slowest_words(slowest, 'result')}{missing_words(nodes)}.",
        held=prompt == len(nodes) > 0,
    )


def claim_labels(photos: Sequence[PhotoFindings]) -> Claim:
    """Labels and boxes; not tested where no photo shows a bus."""
    found = {detection.label for photo in photos for detection in photo.detections}
    boxes = sum(len(photo.detections) for photo in photos)
    is_tested = any(photo.file == BUS_PHOTO for photo in photos)
    has_found = found.issuperset(LABELS)
    words = ", ".join(sorted(found)) or "nothing"
    untested = "" if is_tested or has_found else "; no photo of a bus was among them"
    return Claim(
        source="reference",
        claim='Results carry labels such as "bus" and "person", each with a bounding box.',
        measured=f"Found in {len(photos)} photos: {words} ({boxes} boxes){untested}.",
        held=has_found if is_tested or has_found else None,
    )


def claim_in_time(requests: RequestFindings) -> Claim:
    """Nothing silent past the deadline, although a node was killed and one was frozen."""
    slowest = None if requests.latency_ms is None else requests.latency_ms.max
    silent = f"; {requests.unanswered} got no answer at all" if requests.unanswered else ""
    return Claim(
        source="gridlight",
        claim="With one node killed and one frozen, every request is answered or refused by 4.0 s.",
        measured=f"{requests.sent - requests.unanswered} of {requests.sent} requests were; "
        f"{slowest_words(slowest, 'answer at the requester')}{silent}.",
        held=requests.unanswered == 0 and slowest is not None and slowest <= RESULT_MS_MAX,
    )


def claim_answered(requests: RequestFindings) -> Claim:
    """Almost none refused either."""
    share = 100 * requests.answered / requests.sent if requests.sent else 0.0
    return Claim(
        source="gridlight",
        claim="With one node killed and one frozen, at least 99.5 % of requests are answered.",
        measured=f"{requests.answered} of {requests.sent} requests were ({share:.1f} %); "
        f"assigned again: {requests.reassigned}, hedged: {requests.hedged}.",
        held=requests.sent > 0 and 1000 * requests.answered >= ANSWERED_PER_MILLE_MIN * requests.sent,
    )


def is_whole(node: NodeFindings) -> bool:
    """Every task that is known to have been the node's was answered."""
    return node.tasks > 0 and node.answered == node.tasks


def missing_words(nodes: Sequence[NodeFindings]) -> str:
    """How many tasks stayed without a result, where some did."""
    missing = sum(node.tasks - node.answered for node in nodes)
    return f"; {missing} tasks stayed without a result" if missing else ""


def slowest_words(slowest_ms: int | None, thing: str) -> str:
    """The largest of the samples, in words."""
    return f"there was no {thing}" if slowest_ms is None else f"the slowest {thing} took {slowest_ms:,} ms"
