"""What an issuer says of an operator, and which of its words hold no longer: the claims of two kinds of compact JWS.

Both sets of claims are closed: a claim that this program does not know may change what the others mean.
"""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.operators import DEVICES_MAX, IndexField, NullifierField, OperatorKeyField

ATTESTATION_DAYS_MAX = 180
ATTESTATION_CHARACTERS_MAX = 2_048
STATUS_CHARACTERS_MAX = 2 * 1024 * 1024
ATTESTATION_TYPE = "gridlight-operator+jwt"
STATUS_TYPE = "statuslist+jwt"
DEVICES_OF_LEVEL = {0: 1, 1: 2, 2: 5}
"""How many nodes an operator may have online by what its issuer knows; one may say less, not more."""

IssuerField = Annotated[str, Meta(pattern=r"^[!-~]{1,200}$(?!\n)")]
"""A name that an issuer keeps; its address, as a rule."""
UriField = Annotated[str, Meta(pattern=r"^(https?|file)://[!-~]{1,400}$(?!\n)")]
ThumbprintField = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")]
"""RFC 7638, of an Ed25519 key."""
SecondsField = Annotated[int, Meta(ge=0, le=2**43)]
"""Since 1970."""
CountryField = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)")]


class StatusReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the issuer says whether an attestation still holds."""

    uri: UriField
    idx: IndexField


class Confirmation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever shows an attestation has to prove this key."""

    jkt: ThumbprintField


class AttestationClaims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer's word: whoever holds this key is a person that it knows. Nothing else of the person."""

    iss: IssuerField
    aud: OperatorKeyField
    """The network's public key: for no other network."""
    sub: ThumbprintField
    """The operator's key."""
    cnf: Confirmation
    nul: NullifierField
    lvl: Annotated[int, Meta(ge=0, le=2)]
    """0 nothing is known, 1 a telephone number, 2 papers."""
    dev_max: Annotated[int, Meta(ge=1, le=DEVICES_MAX)]
    cc: CountryField | None = None
    iat: SecondsField
    exp: SecondsField
    jti: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    status: StatusReference


class StatusBits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bit for each attestation, the lowest of a byte first; 1 where it was revoked."""

    bits: Annotated[int, Meta(ge=1, le=1)]
    lst: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]*$(?!\n)", max_length=STATUS_CHARACTERS_MAX)]
    """base64url of zlib."""


class StatusClaims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A status list, in the claims of the IETF's Token Status List."""

    iss: IssuerField
    sub: UriField
    iat: SecondsField
    exp: SecondsField
    status_list: StatusBits


class TrustedIssuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a network believes on operators."""

    iss: IssuerField
    key: OperatorKeyField
    status_uri: UriField


class JwsHeader(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed, too: no other algorithm, no key that comes along, nothing critical."""

    alg: str
    typ: str
