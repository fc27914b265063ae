"""A reference issuer of attestations, for private networks and for tests: a folder with a key, a secret and a register.

It knows no persons: whoever runs it says which person it is, and of that only a keyed hash goes out. One person gives
one nullifier in a network, and another one in another network.
"""

import fcntl
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.adapters.attestations import sign_attestation, sign_status, thumbprint
from gridlight.adapters.signatures import SigningKey, is_public_key, write_secret
from gridlight.messages.attestations import (
    ATTESTATION_DAYS_MAX,
    DEVICES_OF_LEVEL,
    AttestationClaims,
    Confirmation,
    StatusReference,
    TrustedIssuer,
)
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.operators import STATUS_INDEX_MAX

STATUS_LASTS_S: Final = 86_400
_REGISTER_BYTES_MAX: Final = 1024**3
_DAY_S: Final = 86_400


class CannotIssue(ValueError):
    """What was asked of an issuer cannot be done."""

    hint = "`gridlight issuer --help` says what an issuer does"


class Issued(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attestation, as the register holds it: nothing of the person."""

    idx: int
    jti: str
    operator: str
    network: str
    exp: int
    is_revoked: bool = False


class Register(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an issuer wrote down."""

    iss: str
    status_uri: str
    issued: list[Issued]


_registers: Final[Decoder[Register]] = Decoder(Register, _REGISTER_BYTES_MAX)


class Issuer:
    """One issuer's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not self._file.is_file():
            raise CannotIssue(f"{folder} is no issuer's folder: `gridlight issuer init` makes one")
        self._key = SigningKey.load_or_create(folder / "issuer.nk")
        self._secret = bytes.fromhex((folder / "nullifiers.secret").read_text(encoding="ascii").strip())

    @classmethod
    def create(cls, folder: Path, *, iss: str, status_uri: str | None = None) -> "Issuer":
        """A new one. Its status list is a file of the folder, unless it will be served elsewhere."""
        if (folder / "register.json").exists():
            raise CannotIssue(f"{folder} is an issuer's folder already")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        SigningKey.load_or_create(folder / "issuer.nk")
        write_secret(folder / "nullifiers.secret", secrets.token_hex(32) + "\n")
        uri = status_uri or f"file://{folder.resolve()}/status.jwt"
        write_secret(folder / "register.json", encode(Register(iss=iss, status_uri=uri, issued=[])).decode())
        return cls(folder)

    @property
    def _file(self) -> Path:
        return self._folder / "register.json"

    def trusted(self) -> TrustedIssuer:
        """What a network is told of it."""
        register = self._read()
        return TrustedIssuer(iss=register.iss, key=self._key.public, status_uri=register.status_uri)

    def attest(self, operator: str, person: str, *, network: str, level: int, days: int, now_s: int) -> str:
        """The word on an operator that it is this person, however the issuer knows that."""
        if not (is_public_key(operator) and is_public_key(network)):
            raise CannotIssue("operator and network are named by their public keys, as `U` and 55 characters")
        if not 0 < days <= ATTESTATION_DAYS_MAX:
            raise CannotIssue(f"an attestation holds for 1 to {ATTESTATION_DAYS_MAX} days")
        with self._held():
            register = self._read()
            if len(register.issued) > STATUS_INDEX_MAX:
                raise CannotIssue("the register is full: begin another issuer")
            claims = AttestationClaims(
                iss=register.iss,
                aud=network,
                sub=thumbprint(operator),
                cnf=Confirmation(jkt=thumbprint(operator)),
                nul=self._nullifier(person, network),
                lvl=level,
                dev_max=DEVICES_OF_LEVEL[level],
                iat=now_s,
                exp=now_s + days * _DAY_S,
                jti=secrets.token_hex(16),
                status=StatusReference(uri=register.status_uri, idx=len(register.issued)),
            )
            one = Issued(idx=claims.status.idx, jti=claims.jti, operator=operator, network=network, exp=claims.exp)
            self._write(Register(iss=register.iss, status_uri=register.status_uri, issued=[*register.issued, one]))
        return sign_attestation(self._key, claims)

    def revoke(self, operator: str) -> int:
        """Take back all that was said of an operator; how many attestations that were."""
        with self._held():
            register = self._read()
            hit = [one for one in register.issued if one.operator == operator and not one.is_revoked]
            if not hit:
                raise CannotIssue("the register has no attestation of this operator that holds")
            issued = [_revoked(one) if one in hit else one for one in register.issued]
            self._write(Register(iss=register.iss, status_uri=register.status_uri, issued=issued))
        return len(hit)

    def write_status(self, *, now_s: int) -> Path:
        """The list as of now, to be served at the issuer's address; sign it again before a day has passed."""
        register = self._read()
        revoked = {one.idx for one in register.issued if one.is_revoked}
        text = sign_status(self._key, register.status_uri, register.iss, revoked, now_s=now_s, lasts_s=STATUS_LASTS_S)
        path = self._folder / "status.jwt"
        write_secret(path, text)
        return path

    def _nullifier(self, person: str, network: str) -> str:
        return hmac.digest(self._secret, f"{person}\0{network}".encode(), sha256).hex()

    def _read(self) -> Register:
        try:
            return _registers.decode(self._file.read_bytes())
        except ProtocolViolation as violation:
            raise CannotIssue(f"{self._file} cannot be read: {violation}") from violation

    def _write(self, register: Register) -> None:
        write_secret(self._file, encode(register).decode())

    @contextmanager
    def _held(self) -> Iterator[None]:
        """One writer: two attestations must not share an index."""
        with (self._folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _revoked(one: Issued) -> Issued:
    return Issued(idx=one.idx, jti=one.jti, operator=one.operator, network=one.network, exp=one.exp, is_revoked=True)
