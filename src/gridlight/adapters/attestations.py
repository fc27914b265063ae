"""Attestations of operators and issuers' status lists: compact JWS, signed with Ed25519 and nothing else.

The algorithm is fixed by the reader, never chosen by what is read (RFC 8725): header and claims are closed sets.
"""

import zlib
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final, TypeVar

from msgspec import Struct

from gridlight.adapters.signatures import KeyKind, SigningKey, raw_public, verify_bare
from gridlight.messages.attestations import (
    ATTESTATION_CHARACTERS_MAX,
    ATTESTATION_DAYS_MAX,
    ATTESTATION_TYPE,
    STATUS_CHARACTERS_MAX,
    STATUS_TYPE,
    AttestationClaims,
    JwsHeader,
    StatusBits,
    StatusClaims,
    TrustedIssuer,
)
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.operators import STATUS_INDEX_MAX

ALGORITHM: Final = "EdDSA"
STATUS_BYTES_MAX: Final = (STATUS_INDEX_MAX + 1) // 8
SKEW_S: Final = 300
"""By so much two machines' clocks may differ."""
_DAY_S: Final = 86_400

C = TypeVar("C", bound=Struct)

_headers: Final[Decoder[JwsHeader]] = Decoder(JwsHeader, 1_024)
_attestations: Final[Decoder[AttestationClaims]] = Decoder(AttestationClaims, ATTESTATION_CHARACTERS_MAX)
_statuses: Final[Decoder[StatusClaims]] = Decoder(StatusClaims, 2 * STATUS_CHARACTERS_MAX)


class BadAttestation(ValueError):
    """What should be an issuer's word is none, or does not hold here and now."""


def thumbprint(operator: str) -> str:
    """RFC 7638's, of an operator's public key."""
    x = _base64(raw_public(operator))
    return _base64(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest())


def sign_attestation(issuer: SigningKey, claims: AttestationClaims) -> str:
    """The text that the operator carries."""
    return _sign(issuer, ATTESTATION_TYPE, claims)


def sign_status(issuer: SigningKey, uri: str, iss: str, revoked: set[int], *, now_s: int, lasts_s: int) -> str:
    """The list as it is served."""
    bits = bytearray(max(revoked, default=-1) // 8 + 1)
    for index in revoked:
        bits[index // 8] |= 1 << index % 8
    packed = StatusBits(bits=1, lst=_base64(zlib.compress(bytes(bits), 9)))
    return _sign(
        issuer, STATUS_TYPE, StatusClaims(iss=iss, sub=uri, iat=now_s, exp=now_s + lasts_s, status_list=packed)
    )


def issuer_named(text: str) -> str:
    """Whom an attestation names, nothing of it checked: for choosing the key. BadAttestation."""
    return _read(text, ATTESTATION_TYPE, _attestations)[0].iss


def check_attestation(
    text: str, issuer: TrustedIssuer, *, network: str, operators: tuple[str, ...], now_s: int
) -> AttestationClaims:
    """What the issuer says in this network of an operator, who has these keys. BadAttestation; if it was revoked is not
    seen here.
    """
    claims, signed, signature = _read(text, ATTESTATION_TYPE, _attestations)
    if not verify_bare(issuer.key, signed, signature, KeyKind.USER):
        raise BadAttestation("it is not signed with its issuer's key")
    flaws = {
        "its issuer is another one": claims.iss != issuer.iss,
        "it is for another network": claims.aud != network,
        "it is for another operator": claims.sub not in map(thumbprint, operators) or claims.cnf.jkt != claims.sub,
        "its status is told elsewhere than its issuer's": claims.status.uri != issuer.status_uri,
        "it is from the future": claims.iat > now_s + SKEW_S,
        "it has expired": claims.exp <= now_s,
        f"it holds for more than {ATTESTATION_DAYS_MAX} days": claims.exp - claims.iat > ATTESTATION_DAYS_MAX * _DAY_S,
    }
    for flaw, is_so in flaws.items():
        if is_so:
            raise BadAttestation(flaw)
    return claims


def read_for_operator(text: str, operators: tuple[str, ...]) -> AttestationClaims:
    """What an operator, who has these keys, has in hand, before it goes to a network, whose issuers are not known here.
    BadAttestation.
    """
    claims, _, _ = _read(text, ATTESTATION_TYPE, _attestations)
    if claims.sub not in map(thumbprint, operators):
        raise BadAttestation("it is for another operator's key")
    return claims


class StatusRead(Struct, frozen=True):
    """What a status list says."""

    issued_s: int
    revoked: frozenset[int]
    """Which of the issuer's attestations hold no longer."""


def read_status(text: str, issuer: TrustedIssuer, *, now_s: int, newest_s: int = 0) -> StatusRead:
    """The issuer's list, unless one that was issued later, at `newest_s`, was read already. BadAttestation."""
    claims, signed, signature = _read(text, STATUS_TYPE, _statuses)
    if not verify_bare(issuer.key, signed, signature, KeyKind.USER):
        raise BadAttestation("the status list is not signed with its issuer's key")
    if (claims.iss, claims.sub) != (issuer.iss, issuer.status_uri):
        raise BadAttestation("the status list is another one's")
    if claims.exp <= now_s or claims.iat > now_s + SKEW_S:
        raise BadAttestation("the status list is not of now")
    if claims.iat < newest_s:
        raise BadAttestation("the status list is older than the one that was read before")
    unpacking = zlib.decompressobj()
    try:
        bits = unpacking.decompress(_bytes(claims.status_list.lst), STATUS_BYTES_MAX + 1)
    except zlib.error as error:
        raise BadAttestation(f"the status list cannot be unpacked: {error}") from error
    if len(bits) > STATUS_BYTES_MAX or not unpacking.eof:
        raise BadAttestation("the status list is too long, or broken off")
    revoked = (8 * place + bit for place, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1)
    return StatusRead(claims.iat, frozenset(revoked))


def _sign(key: SigningKey, typ: str, claims: Struct) -> str:
    signed = f"{_base64(encode(JwsHeader(alg=ALGORITHM, typ=typ)))}.{_base64(encode(claims))}"
    return f"{signed}.{_base64(key.sign_bare(signed.encode()))}"


def _read(text: str, typ: str, decoder: Decoder[C]) -> tuple[C, bytes, bytes]:
    """Claims, what was signed, and the signature, which is the caller's to check. BadAttestation."""
    parts = text.split(".")
    if len(parts) != 3 or not text.isascii():
        raise BadAttestation("it is no compact JWS")
    try:
        header = _headers.decode(_bytes(parts[0]))
        if (header.alg, header.typ) != (ALGORITHM, typ):
            said = f"{header.alg[:20]!r} and {header.typ[:40]!r}"
            raise BadAttestation(f"its header says {said}, not {ALGORITHM!r} and {typ!r}")
        claims = decoder.decode(_bytes(parts[1]))
    except ProtocolViolation as violation:
        raise BadAttestation(f"it cannot be read: {str(violation)[:200]}") from violation
    return claims, f"{parts[0]}.{parts[1]}".encode(), _bytes(parts[2])


def _bytes(text: str) -> bytes:
    """base64url without padding, in its one canonical form."""
    try:
        data = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadAttestation("a part of it is no base64url") from error
    if _base64(data) != text:
        raise BadAttestation("a part of it is no canonical base64url")
    return data


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
