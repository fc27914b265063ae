"""Every refusal of the API in one place: its code, HTTP status, sentence and what the requester can change."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from gridlight.messages.amounts import coins
from gridlight.messages.api import ErrorResponse, ErrorView, Privacy
from gridlight.messages.jobs import JobCode, Outcome, Shortfall
from gridlight.messages.limits import (
    DEADLINE_MS_MAX,
    DEADLINE_MS_MIN,
    JSON_BODY_BYTES_MAX,
    THRESHOLD_FLOOR,
    UPLOAD_BYTES_MAX,
)
from gridlight.messages.trust import Assurance

MIB: Final = 1024 * 1024
PICTURE_CODES: Final = frozenset(
    {
        "EMPTY_PICTURE",
        "PICTURE_TOO_LARGE",
        "TOO_MANY_PIXELS",
        "NOT_A_PICTURE",
        "PICTURE_UNSUPPORTED",
        "PICTURE_BROKEN",
    }
)
"""What a picture process may say. It reads hostile bytes, so no other word of its is passed on."""


class Kind(Struct, frozen=True):
    """One code's status, its usual sentence and its usual hint."""

    status: int
    message: str
    hint: str
    retry_after_s: int | None = None


_SEE_API: Final = "See /schema for what the API takes."
_SEND_ORDINARY: Final = "Save it again as an ordinary JPEG, PNG or WebP and send that."
_DEADLINE_RANGE: Final = f"Give deadline_ms as whole milliseconds from {DEADLINE_MS_MIN} to {DEADLINE_MS_MAX}."
_THRESHOLD_RANGE: Final = f"Give threshold from {THRESHOLD_FLOOR / 10_000} to 1."
_VERIFY_CHOICE: Final = f"Give verify as one of {', '.join(Assurance)}; GET /v1/trust says what each means."
_PRIVACY_CHOICE: Final = f"Give privacy as one of {', '.join(Privacy)}; public allows that the input is used again."

KINDS: Final[dict[str, Kind]] = {
    # What was sent
    "EMPTY_BODY": Kind(400, "The request has no picture in it.", "Send the bytes of a JPEG, PNG or WebP picture."),
    "BODY_TOO_LARGE": Kind(
        413,
        "The request is too large.",
        f"A picture may have {UPLOAD_BYTES_MAX // MIB} MiB, a JSON body {JSON_BODY_BYTES_MAX // MIB} MiB.",
    ),
    "UNSUPPORTED_MEDIA_TYPE": Kind(
        415,
        "The request's Content-Type is not one this route takes.",
        "Send the picture as image/jpeg, image/png or image/webp, as field `image` of multipart/form-data,"
        " or as application/json with `image.b64`.",
    ),
    "BAD_JSON": Kind(400, "The JSON body cannot be read.", _SEE_API),
    "BAD_BASE64": Kind(
        400,
        "`image.b64` is not base64.",
        "Encode the picture's bytes as standard base64 with padding and without line breaks.",
    ),
    "BAD_FORM": Kind(400, "The multipart body cannot be read.", "Send one field `image` that holds the picture."),
    "BAD_PARAMETER": Kind(400, "A parameter is not one this route knows.", _SEE_API),
    "BAD_DEADLINE": Kind(400, "The deadline is out of range.", _DEADLINE_RANGE),
    "BAD_THRESHOLD": Kind(400, "The threshold is out of range.", _THRESHOLD_RANGE),
    "BAD_VERIFY": Kind(400, "The level of verification is unknown.", _VERIFY_CHOICE),
    "BAD_PRIVACY": Kind(400, "The privacy is unknown.", _PRIVACY_CHOICE),
    "BAD_NODE_ID": Kind(400, "The node's id is malformed.", "Copy a node_id from GET /v1/nodes."),
    "BAD_REQUEST": Kind(400, "The request cannot be read.", _SEE_API),
    "UPLOAD_TOO_SLOW": Kind(
        408, "The picture did not arrive in time.", "Send a smaller picture, or allow a longer deadline_ms."
    ),
    "HEAD_TOO_LARGE": Kind(431, "The request's head is too large.", "Send fewer or shorter headers."),
    "HEAD_TOO_SLOW": Kind(408, "The request's head did not arrive in time.", "Send the whole head at once."),
    # What the picture process refuses; it says the sentence and the hint itself
    "EMPTY_PICTURE": Kind(400, "The picture has no bytes.", _SEND_ORDINARY),
    "PICTURE_TOO_LARGE": Kind(413, "The picture has too many bytes.", _SEND_ORDINARY),
    "TOO_MANY_PIXELS": Kind(422, "The picture has too many pixels.", _SEND_ORDINARY),
    "NOT_A_PICTURE": Kind(415, "The bytes are no JPEG, PNG or WebP picture.", _SEND_ORDINARY),
    "PICTURE_UNSUPPORTED": Kind(415, "The picture is of a kind that is not taken.", _SEND_ORDINARY),
    "PICTURE_BROKEN": Kind(422, "The picture cannot be decoded.", _SEND_ORDINARY),
    # Who sent it, and where to
    "UNAUTHORIZED": Kind(401, "This is for administrators.", "Send `Authorization: Bearer <admin token>`."),
    "FORBIDDEN": Kind(403, "The token is not this network's admin token.", "Read it from keys/admin.token."),
    "NO_API_KEY": Kind(
        401,
        "No API key came with the request.",
        "Send `Authorization: Bearer gl_...`, `apikey` or `x-api-key`; ask the network's founder for a key.",
    ),
    "UNKNOWN_API_KEY": Kind(401, "The network knows no such API key.", "Check that the whole key is sent, unchanged."),
    "API_KEY_REVOKED": Kind(401, "The API key was revoked.", "Ask the network's founder for another."),
    "SCOPE_MISSING": Kind(403, "The API key is not for this.", "Use a key with the scope that the message names."),
    "RATE_LIMITED": Kind(429, "The account asks more often than it may.", "Wait as long as Retry-After says."),
    "QUOTA_EXHAUSTED": Kind(
        429,
        "The account has used up its requests of this day.",
        "Wait until midnight in UTC, or ask for a higher quota.",
    ),
    "TOO_MANY_FAILURES": Kind(
        429, "Too many unknown API keys came from this address.", "Send a key that the network knows, a minute later."
    ),
    "UNKNOWN_ACCOUNT": Kind(404, "The network has no such account.", "GET /v1/accounts lists them to administrators."),
    "UNKNOWN_KEY": Kind(404, "The account has no such key.", "GET /v1/accounts/{account}/keys lists them."),
    "NO_DEPOSITS": Kind(
        404,
        "This network takes no payments on a chain.",
        "Its founder names the account in [deposits] of the gateway's configuration; until then, ask for a grant.",
    ),
    "BAD_ACCOUNT": Kind(400, "The account or key cannot be read.", _SEE_API),
    "BAD_IDEMPOTENCY_KEY": Kind(
        400,
        "The request needs an idempotency key, and has none that can be one.",
        "Send `Idempotency-Key` with 1 to 64 letters, digits and _.=-; the same again does nothing twice.",
    ),
    "IDEMPOTENCY_KEY_REUSED": Kind(
        409, "The key was used for something else.", "Use a new key, or send what was sent with it first."
    ),
    "BAD_AMOUNT": Kind(400, "The amount is none.", "Write coins as 12 or 12.3450000: more than 0, at most 7 places."),
    "NO_EARNINGS": Kind(
        404,
        "The network's books do not know this node.",
        "They do once it has joined and the network has prices; gridlight node why says what it is given.",
    ),
    "TOO_MANY_KEYS": Kind(409, "The account has as many keys as it may have.", "Revoke one that is not used."),
    "NOT_FOUND": Kind(404, "There is nothing at this address.", _SEE_API),
    "METHOD_NOT_ALLOWED": Kind(405, "This address does not take this method.", _SEE_API),
    "UNKNOWN_REQUEST": Kind(404, "No request has this id.", "Use the id that POST /v1/detect answered."),
    "UNKNOWN_BLOB": Kind(
        404, "No artefact of this network's models has this digest.", "Take sha256:<hex> from GET /v1/models."
    ),
    "UNKNOWN_WORKLOAD": Kind(404, "The network knows no workload of this id.", "GET /v1/workloads lists them."),
    "RANGE_NOT_SATISFIABLE": Kind(416, "The artefact ends before that.", "Fetch it without a range."),
    # What publishers bring
    "NOT_PUBLISHED_HERE": Kind(404, "This gateway takes no workloads.", "Ask the network's founder which one does."),
    "BAD_MANIFEST": Kind(400, "The manifest cannot be taken.", "`gridlight workload build` says what is wrong."),
    "UNKNOWN_PUBLISHER": Kind(403, "This network takes workloads of certain publishers only.", "Ask its founder."),
    "STORAGE_FULL": Kind(507, "There is no room for further artefacts.", "Ask the network's founder to make room."),
    "UPLOAD_CONFLICT": Kind(409, "The upload does not go on where it broke off.", "HEAD says how much came."),
    "DIGEST_MISMATCH": Kind(422, "The bytes are not what the digest names.", "Upload the artefact anew."),
    "ARTIFACTS_MISSING": Kind(409, "Not all artefacts came.", "Let its publisher run `gridlight workload publish`."),
    # What the network says of workloads
    "WORKLOAD_UNSIGNED": Kind(401, "A signature does not hold.", "Sign it with the key that it names."),
    "WORKLOAD_CHANGED": Kind(409, "What was signed is another manifest.", "Sign the manifest as it is."),
    "WORKLOAD_EXPIRED": Kind(410, "A signature has expired.", "Sign it again."),
    "OLD_SERIAL": Kind(409, "A later word of the network stands.", "Read GET /v1/workloads, and sign a higher serial."),
    "UNKNOWN_WORD": Kind(
        404, "The network gave no word on this run.", "Name a page and a run of it from GET /v1/nodes/{id}/words."
    ),
    "UNKNOWN_NODE": Kind(404, "No node of this network has this id.", "Copy a node_id from GET /v1/nodes."),
    "UNKNOWN_EPOCH": Kind(404, "The network knows no epoch of this number.", "GET /v1/epochs lists them."),
    "EPOCH_NOT_REVEALED": Kind(
        409,
        "The epoch's secret still decides what is audited.",
        "Try again when GET /v1/epochs shows its secret.",
    ),
    # Enrolment
    "BAD_ENROLMENT": Kind(400, "The enrolment cannot be read.", _SEE_API),
    "BAD_NONCE": Kind(401, "The nonce is unknown or too old.", "Ask POST /v1/nodes/challenge for a new one."),
    "BAD_SIGNATURE": Kind(
        401,
        "The signature is not the node's over this body.",
        "Sign the exact bytes of the body with the node's key and send base64 as Gridlight-Signature.",
    ),
    "BAD_ENDORSEMENT": Kind(
        401,
        "The endorsement is not this network's word on this node.",
        "Ask the network's founder for another, or join without one: remove the node's file `endorsement`.",
    ),
    "BAD_CERTIFICATE": Kind(
        401,
        "The certificate is not the operator's word on this node, or has expired.",
        "Sign another with `gridlight operator bind`, and see that both machines' clocks are right.",
    ),
    "NODE_BANNED": Kind(
        403, "The network banned this node or its operator.", "Ask the network's founder, who can lift the ban."
    ),
    "CERTIFICATE_REVOKED": Kind(
        403,
        "The network revoked the certificate that the node brings.",
        "Sign another with `gridlight operator bind`.",
    ),
    "BAD_SUCCESSION": Kind(
        401,
        "The operator's successions do not lead to the key that signed the certificate.",
        "Bind the node again with `gridlight operator bind`, which writes both; keep the key's file of successions.",
    ),
    "KEY_SUCCEEDED": Kind(
        403,
        "The operator's key was succeeded by another one more than a day ago.",
        "Sign with the new key; a node's certificate by `gridlight operator bind`.",
    ),
    "SUCCESSION_REFUSED": Kind(
        409,
        "The network does not take the operator's new key.",
        "If it was not you who rotated the key, ask the network's founder to ban the operator.",
    ),
    "SUCCESSION_TOO_SOON": Kind(
        409,
        "The operator's key was rotated less than 14 days ago.",
        "Until then sign certificates with the key before: `gridlight operator bind --key`, the file that was kept.",
    ),
    "ATTESTATION_MISSING": Kind(
        401,
        "This network takes nodes only of operators whom an issuer vouches for.",
        "Get an attestation, and put it into the node's folder with `gridlight operator attest`.",
    ),
    "BAD_ATTESTATION": Kind(
        401,
        "The attestation is not the word of an issuer whom this network believes, on this operator, now.",
        "Ask the issuer for another one, for this network and for your operator key.",
    ),
    "ATTESTATION_REVOKED": Kind(
        403, "The issuer takes its word on this operator back.", "Ask the issuer for the reason."
    ),
    "ATTESTATION_STATUS_UNKNOWN": Kind(
        503,
        "The network has not read the issuer's status list yet.",
        "Try again later; the network's founder should see why it cannot be read.",
        retry_after_s=60,
    ),
    "PERSON_TAKEN": Kind(
        409,
        "Another operator of this network is the same person, and has nodes online.",
        "Use one operator key for all your nodes, or stop the nodes of the other.",
    ),
    "TOO_MANY_DEVICES": Kind(
        409,
        "As many nodes as the operator's attestation allows are online.",
        "Stop one of them, or ask the issuer for a higher level.",
    ),
    "BAD_OPERATOR_KEY": Kind(400, "The operator's key is malformed.", "`gridlight operator show` prints it."),
    "BAD_PAYOUT_STATEMENT": Kind(400, "The payout statement cannot be read.", _SEE_API),
    "PAYOUT_UNSIGNED": Kind(
        401, "The statement is not signed with the key of the operator whom it is for.", "Sign it with that key."
    ),
    "BAD_PAYOUT_ADDRESS": Kind(
        422,
        "Nothing can be paid to this address.",
        "An address is G and 55, or M and 68, characters of A-Z and 2-7; copy it whole from the wallet.",
    ),
    "BAD_PAYOUT_THRESHOLD": Kind(
        422, "Nobody is paid from so little, or so much, on.", "Choose one that is not below `least` of GET."
    ),
    "STATEMENT_AHEAD": Kind(
        422, "The statement is from a time to come; no later one could follow it.", "Set this machine's clock."
    ),
    "OLD_STATEMENT": Kind(
        409, "A statement of this or a higher serial stands.", "Sign another, with the time of now as its serial."
    ),
    "UNKNOWN_OPERATOR": Kind(
        404,
        "The network knows no such operator.",
        "Name the key that your nodes joined with: the one they are bound with, or operator.nk of a node's folder.",
    ),
    "NOT_THE_OPERATOR": Kind(
        401,
        "Where an operator is paid is told to that operator, and to administrators.",
        "Ask as the operator: gridlight operator payout-address. Or send `Authorization: Bearer <admin token>`.",
    ),
    "AGENT_TOO_OLD": Kind(403, "This agent is too old for the network.", "Run: pip install --upgrade gridlight"),
    "NOT_THE_NODE": Kind(
        401,
        "What is counted for a node is told to that node, and to administrators.",
        "Ask as the node: gridlight node why --data DIR. Or send `Authorization: Bearer <admin token>`.",
    ),
    # The service
    "BUSY": Kind(503, "The service has as much work as it can hold.", "Try again shortly.", retry_after_s=1),
    "NOT_READY": Kind(503, "The gateway is not ready.", "Wait until every check holds.", retry_after_s=1),
    "NO_COORDINATOR": Kind(
        503, "The coordinator did not answer in time.", "Try again in a few seconds.", retry_after_s=3
    ),
    "INTERNAL": Kind(500, "The gateway made a mistake.", "Report the request_id to the network's operator."),
    # How a job ended
    JobCode.UNKNOWN_MODEL: Kind(404, "The network does not run this model.", "GET /v1/models lists those it runs."),
    JobCode.NO_NODE_ONLINE: Kind(
        503, "No node is online.", "Try again when nodes have joined; GET /v1/nodes lists them.", retry_after_s=5
    ),
    JobCode.NO_CAPABLE_NODE: Kind(
        422, "No node that is online can do this request.", "Choose another model or a longer deadline_ms."
    ),
    JobCode.NO_TRUSTED_NODE: Kind(
        503,
        "No trusted node is online for this model.",
        "Newcomers are: ask for verify=none, or try again when trusted nodes have joined.",
        retry_after_s=5,
    ),
    JobCode.DEADLINE_TOO_SHORT: Kind(422, "No node is fast enough for this deadline.", "Allow a longer deadline_ms."),
    JobCode.NODE_NOT_ONLINE: Kind(409, "The pinned node is not online.", "GET /v1/nodes lists the nodes online."),
    JobCode.DEADLINE_EXCEEDED: Kind(
        504, "There was no result by the deadline.", "Allow a longer deadline_ms, or try again."
    ),
    JobCode.ATTEMPTS_EXHAUSTED: Kind(502, "Every node that tried this request failed.", "Try again."),
    JobCode.WORKLOAD_STOPPED: Kind(
        410, "The network does not run this workload any more.", "GET /v1/models lists those it runs."
    ),
    JobCode.INSUFFICIENT_FUNDS: Kind(402, "The account has too little for this request.", "Credit the account."),
    JobCode.WITHDRAWN: Kind(409, "The requester left before there was a result.", "Send the request again."),
    JobCode.COORDINATOR_RESTARTED: Kind(
        503, "The coordinator restarted while this request was open.", "Send it again.", retry_after_s=1
    ),
}


class Refusal(Exception):
    """The answer to a request that gets none. Raised at the edge, answered as an ErrorResponse."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        hint: str | None = None,
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        kind = KINDS[code]
        super().__init__(message or kind.message)
        self.code = code
        self.status = kind.status
        self.message = message or kind.message
        self.hint = hint or kind.hint
        self.headers = headers or {}
        self.details = details
        self.retry_after_s = kind.retry_after_s if retry_after_s is None else retry_after_s

    def view(self, request_id: str) -> ErrorView:
        """What the requester reads."""
        return ErrorView(
            code=self.code, message=self.message, hint=self.hint, request_id=request_id, details=self.details
        )


class RequesterGone(Exception):
    """The connection closed before there was an answer; nobody reads one."""


def refusal_of(outcome: Outcome) -> Refusal:
    """How a job that ended without a result is answered; the coordinator's hint goes before the usual one."""
    assert outcome.code is not None
    retry_after_s = None if outcome.retry_after_ms is None else -(-outcome.retry_after_ms // 1_000)
    details = None if outcome.shortfall is None else shortfall_details(outcome.shortfall)
    return Refusal(outcome.code.value, hint=outcome.hint, retry_after_s=retry_after_s, details=details)


def shortfall_details(shortfall: Shortfall) -> dict[str, str]:
    """What a request costs, what its account has, and what is missing: coins."""
    price, available = shortfall.price, shortfall.available
    return {"price": coins(price), "balance": coins(available), "missing": coins(price - available)}


def horde_code(code: str) -> str:
    """NO_CAPABLE_NODE as AI Horde spells codes: NoCapableNode."""
    return "".join(word.capitalize() for word in code.split("_"))


def encode_refusal(refusal: Refusal, request_id: str) -> bytes:
    """The body of the answer."""
    return msgspec.json.encode(ErrorResponse(error=refusal.view(request_id), rc=horde_code(refusal.code)))
