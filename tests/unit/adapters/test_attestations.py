"""Attestations: what an issuer says holds for this operator, in this network, now; and nothing else does."""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gridlight.adapters.attestations import (
    BadAttestation,
    check_attestation,
    issuer_named,
    read_for_operator,
    read_status,
    thumbprint,
)
from gridlight.adapters.issuer import CannotIssue, Issuer
from gridlight.adapters.signatures import KeyKind, SigningKey
from gridlight.messages.attestations import AttestationClaims, TrustedIssuer

NOW_S = 1_800_000_000
DAY_S = 86_400
NETWORK = SigningKey(KeyKind.USER, bytes(range(32))).public
OPERATOR = SigningKey(KeyKind.USER, bytes(range(1, 33)))


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.create(tmp_path / "issuer", iss="https://issuer.example")


def attest(issuer: Issuer, operator: SigningKey = OPERATOR, person: str = "Ada", **options: Any) -> str:
    said: dict[str, Any] = {"network": NETWORK, "level": 2, "days": 90, "now_s": NOW_S} | options
    return issuer.attest(operator.public, person, **said)


def checked(text: str, issuer: Issuer | TrustedIssuer, **options: Any) -> AttestationClaims:
    trusted = issuer.trusted() if isinstance(issuer, Issuer) else issuer
    said: dict[str, Any] = {"network": NETWORK, "operators": (OPERATOR.public,), "now_s": NOW_S} | options
    return check_attestation(text, trusted, **said)


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def parts(text: str) -> list[bytes]:
    return [urlsafe_b64decode(part + "==") for part in text.split(".")]


def forged(text: str, key: SigningKey, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The same with other words, signed with this key."""
    was, said, _ = parts(text)
    head = msgspec.json.encode(header) if header is not None else was
    told = msgspec.json.encode(msgspec.json.decode(said) | claims)
    signed = f"{base64(head)}.{base64(told)}"
    return f"{signed}.{base64(key.sign_bare(signed.encode()))}"


def own_key(tmp_path: Path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "issuer" / "issuer.nk")


def test_the_issuers_word_holds_and_says_nothing_of_the_person(issuer: Issuer) -> None:
    text = attest(issuer)
    claims = checked(text, issuer)

    assert (claims.lvl, claims.dev_max, claims.status.idx) == (2, 5, 0)
    assert (claims.sub, claims.cnf.jkt) == (thumbprint(OPERATOR.public),) * 2
    assert issuer_named(text) == "https://issuer.example"
    assert read_for_operator(text, (NETWORK, OPERATOR.public)) == claims
    assert b"Ada" not in b"".join(parts(text))
    assert len(text) < 1_000


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    # RFC 8037, appendix A.3
    x = urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    crc_free = SigningKey(KeyKind.USER, urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))

    from gridlight.adapters.signatures import raw_public

    assert raw_public(crc_free.public) == x
    assert thumbprint(crc_free.public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_person_has_one_nullifier_in_a_network_and_another_one_elsewhere(issuer: Issuer) -> None:
    other = SigningKey.generate()
    mine, again = checked(attest(issuer), issuer), checked(attest(issuer), issuer)
    twin = checked(attest(issuer, other), issuer, operators=(other.public,))
    stranger = checked(attest(issuer, person="Bob"), issuer)
    elsewhere = checked(attest(issuer, network=other.public), issuer, network=other.public)

    assert mine.nul == again.nul == twin.nul
    assert len({mine.nul, stranger.nul, elsewhere.nul}) == 3
    assert [mine.status.idx, again.status.idx, twin.status.idx] == [0, 1, 2]


@pytest.mark.parametrize(
    ("header", "flaw"),
    [
        ({"alg": "none", "typ": "gridlight-operator+jwt"}, "header"),
        ({"alg": "HS256", "typ": "gridlight-operator+jwt"}, "header"),
        ({"alg": "EdDSA", "typ": "JWT"}, "header"),
        ({"alg": "EdDSA", "typ": "statuslist+jwt"}, "header"),
        ({"alg": "EdDSA", "typ": "gridlight-operator+jwt", "crit": ["exp"], "exp": 1}, "unknown field"),
        ({"alg": "EdDSA", "typ": "gridlight-operator+jwt", "jwk": {"kty": "OKP"}}, "unknown field"),
    ],
)
def test_another_header_is_refused_whoever_signed_it(
    issuer: Issuer, tmp_path: Path, header: dict[str, Any], flaw: str
) -> None:
    text = forged(attest(issuer), own_key(tmp_path), header)

    with pytest.raises(BadAttestation, match=flaw):
        checked(text, issuer)


@pytest.mark.parametrize(
    ("claims", "flaw"),
    [
        ({"iss": "https://another.example"}, "issuer is another"),
        ({"aud": OPERATOR.public}, "another network"),
        ({"sub": "A" * 43}, "another operator"),
        ({"cnf": {"jkt": "A" * 43}}, "another operator"),
        ({"status": {"uri": "https://elsewhere.example", "idx": 0}}, "elsewhere"),
        ({"iat": NOW_S + 3_600, "exp": NOW_S + 7_200}, "future"),
        ({"exp": NOW_S}, "expired"),
        ({"exp": NOW_S + 181 * DAY_S}, "180 days"),
        ({"name": "Ada"}, "unknown field"),
        ({"lvl": 3}, "cannot be read"),
        ({"dev_max": 65}, "cannot be read"),
        ({"nul": "short"}, "cannot be read"),
    ],
)
def test_what_does_not_hold_here_and_now_is_refused(
    issuer: Issuer, tmp_path: Path, claims: dict[str, Any], flaw: str
) -> None:
    text = forged(attest(issuer), own_key(tmp_path), None, **claims)

    with pytest.raises(BadAttestation, match=flaw):
        checked(text, issuer)


def test_whoever_is_no_issuer_says_nothing(issuer: Issuer) -> None:
    text = attest(issuer)
    unsigned = text.rpartition(".")[0] + "."

    for bad in (forged(text, SigningKey.generate()), unsigned, text[:-2], text + "A", "a.b", "é.é.é", text + "."):
        with pytest.raises(BadAttestation):
            checked(bad, issuer)
    with pytest.raises(BadAttestation, match="another operator"):
        read_for_operator(text, (NETWORK,))


def test_the_status_list_says_who_was_taken_back(issuer: Issuer) -> None:
    others = [SigningKey.generate() for _ in range(20)]
    for one in others:
        attest(issuer, one)
    before = read_status(issuer.write_status(now_s=NOW_S).read_text(), issuer.trusted(), now_s=NOW_S).revoked
    counts = [issuer.revoke(others[index].public) for index in (0, 9, 19)]
    after = issuer.write_status(now_s=NOW_S).read_text()

    assert (before, counts) == (frozenset(), [1, 1, 1])
    assert read_status(after, issuer.trusted(), now_s=NOW_S).revoked == {0, 9, 19}
    with pytest.raises(CannotIssue, match="holds"):
        issuer.revoke(others[0].public)


def test_a_status_list_that_is_old_or_anothers_or_a_bomb_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    text, key, trusted = issuer.write_status(now_s=NOW_S).read_text(), own_key(tmp_path), issuer.trusted()
    bomb = base64(zlib.compress(bytes(2**24), 9))
    bad = {
        "not of now": forged(text, key, exp=NOW_S),
        "not signed": forged(text, SigningKey.generate()),
        "another one's": forged(text, key, sub="https://elsewhere.example"),
        "too long": forged(text, key, status_list={"bits": 1, "lst": bomb}),
        "broken off": forged(text, key, status_list={"bits": 1, "lst": ""}),
        "unpacked": forged(text, key, status_list={"bits": 1, "lst": "AAAA"}),
        "cannot be read": forged(text, key, status_list={"bits": 2, "lst": ""}),
        "header": attest(issuer),
    }

    for flaw, one in bad.items():
        with pytest.raises(BadAttestation, match=flaw):
            read_status(one, trusted, now_s=NOW_S)


def test_an_issuer_is_made_once_and_asked_properly(issuer: Issuer, tmp_path: Path) -> None:
    with pytest.raises(CannotIssue, match="already"):
        Issuer.create(tmp_path / "issuer", iss="x")
    with pytest.raises(CannotIssue, match="init"):
        Issuer(tmp_path)
    with pytest.raises(CannotIssue, match="public keys"):
        issuer.attest("operator", "Ada", network=NETWORK, level=2, days=1, now_s=NOW_S)
    with pytest.raises(CannotIssue, match="180 days"):
        attest(issuer, days=181)
