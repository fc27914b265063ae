import hashlib
from pathlib import Path

import pytest

from gridlight.adapters.signatures import (
    KeyKind,
    SigningKey,
    blake3_digest,
    is_public_key,
    sha256_digest,
    verify,
    verify_bare,
    write_secret,
)
from gridlight.messages.envelope import ENROLMENT_DOMAIN, REPLY_DOMAIN

# A user key made by NATS' own tool and printed in its documentation's examples of decentralized authentication.
NKEY_SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
NKEY_PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


def test_a_seed_made_by_another_tool_gives_its_public_key() -> None:
    key = SigningKey.from_seed(NKEY_SEED)

    assert key.public == NKEY_PUBLIC
    assert key.seed == NKEY_SEED


@pytest.mark.parametrize(
    ("kind", "public_start", "seed_start"),
    [(KeyKind.USER, "U", "SU"), (KeyKind.ACCOUNT, "A", "SA"), (KeyKind.OPERATOR, "O", "SO")],
)
def test_a_key_says_its_kind_and_is_read_back_from_its_seed(kind: KeyKind, public_start: str, seed_start: str) -> None:
    key = SigningKey.generate(kind)

    assert key.public.startswith(public_start)
    assert len(key.public) == 56
    assert key.seed.startswith(seed_start)
    assert SigningKey.from_seed(key.seed).public == key.public
    assert is_public_key(key.public, kind)


def test_a_signature_holds_for_its_key_domain_and_message_only(key: SigningKey) -> None:
    signature = key.sign(REPLY_DOMAIN, b"message")

    assert len(signature) == 64
    assert verify(key.public, REPLY_DOMAIN, b"message", signature)
    assert not verify(key.public, ENROLMENT_DOMAIN, b"message", signature)
    assert not verify(key.public, REPLY_DOMAIN, b"other", signature)
    assert not verify(SigningKey.generate().public, REPLY_DOMAIN, b"message", signature)


def test_no_changed_bit_of_a_signature_passes(key: SigningKey) -> None:
    signature = key.sign(REPLY_DOMAIN, b"message")

    for place in range(64):
        changed = bytearray(signature)
        changed[place] ^= 1 << (place % 8)
        assert not verify(key.public, REPLY_DOMAIN, b"message", bytes(changed))


@pytest.mark.parametrize("signature", [b"", b"short", bytes(63), bytes(64), bytes(65)])
def test_a_malformed_signature_is_a_no(key: SigningKey, signature: bytes) -> None:
    assert not verify(key.public, REPLY_DOMAIN, b"message", signature)


def test_a_malformed_public_key_is_a_no(key: SigningKey) -> None:
    signature = key.sign(REPLY_DOMAIN, b"message")
    mistyped = key.public[:10] + ("A" if key.public[10] != "A" else "B") + key.public[11:]

    for public in ("", "U", mistyped, key.public.lower(), key.public + "A", "é" * 56, key.seed, "U" * 10_000):
        assert not verify(public, REPLY_DOMAIN, b"message", signature)
        assert not is_public_key(public)


def test_a_key_of_another_kind_does_not_verify_as_a_user() -> None:
    account = SigningKey.generate(KeyKind.ACCOUNT)
    signature = account.sign(REPLY_DOMAIN, b"message")

    assert not verify(account.public, REPLY_DOMAIN, b"message", signature)
    assert verify_bare(account.public, REPLY_DOMAIN + b"message", signature, KeyKind.ACCOUNT)


@pytest.mark.parametrize("text", ["", "SU", NKEY_PUBLIC, NKEY_SEED[:-1], NKEY_SEED[:-1] + "Z", NKEY_SEED.lower()])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an nkey"):
        SigningKey.from_seed(text)


def test_the_seed_is_not_in_the_repr(key: SigningKey) -> None:
    assert key.seed not in repr(key)
    assert key.public in repr(key)


def test_a_created_key_is_private_and_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "node.nk"

    created = SigningKey.load_or_create(path)
    loaded = SigningKey.load_or_create(path)

    assert loaded.public == created.public
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_key_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "node.nk"
    path.write_text("not a key\n")

    with pytest.raises(ValueError, match=r"node\.nk does not hold a key"):
        SigningKey.load_or_create(path)


def test_a_secret_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_secret(path, "one")

    write_secret(path, "two")

    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_secret(path, "three", replace=False)
    assert path.read_text() == "two"


def test_digests_are_those_of_the_standards() -> None:
    # BLAKE3's own test vector for the empty input.
    assert blake3_digest(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert sha256_digest(b"abc") == hashlib.sha256(b"abc").hexdigest()
