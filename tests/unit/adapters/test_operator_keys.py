"""An operator's key as words and as an encrypted file, and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gridlight.adapters.operator_keys import (
    BadOperatorKey,
    decrypt_operator,
    encrypt_operator,
    operator_of_phrase,
    phrase_of,
)
from gridlight.adapters.signatures import KeyKind, SigningKey

PASSWORD = "correct horse battery"
CHEAP: dict[str, Any] = {"operations": 1, "memory_bytes": 8_192}
OPERATOR = SigningKey.generate()
BACKUP = json.loads(encrypt_operator(OPERATOR, PASSWORD, **CHEAP))


@given(raw=some.binary(min_size=32, max_size=32))
def test_a_phrase_gives_back_its_key(raw: bytes) -> None:
    operator = SigningKey(KeyKind.USER, raw)
    phrase = phrase_of(operator)

    assert len(phrase.split()) == 24
    assert operator_of_phrase(f"  {phrase.upper()}\n").seed == operator.seed


def test_a_phrase_is_bip_39_s() -> None:
    # The first vector of 256 bits that BIP-39 comes with.
    assert phrase_of(SigningKey(KeyKind.USER, bytes(32))) == "abandon " * 23 + "art"


@pytest.mark.parametrize(
    "phrase", ["", "abandon " * 24, "abandon " * 23, "abandon " * 22 + "art abandon", "gridlight " * 24, "é " * 24]
)
def test_what_is_no_phrase_is_refused(phrase: str) -> None:
    with pytest.raises(BadOperatorKey) as caught:
        operator_of_phrase(phrase)
    assert caught.value.hint


def test_a_backup_opens_with_its_password_alone_and_shows_no_secret() -> None:
    data = encrypt_operator(OPERATOR, PASSWORD)

    key, successions = decrypt_operator(data, PASSWORD)
    assert (key.seed, successions) == (OPERATOR.seed, ())
    assert OPERATOR.seed.encode() not in data
    assert json.loads(data)["memory_bytes"] == 256 * 1024 * 1024
    with pytest.raises(BadOperatorKey, match="password"):
        decrypt_operator(data, PASSWORD + "x")


@pytest.mark.parametrize(
    "change",
    [
        {"box": BACKUP["box"][:-8]},
        {"box": "é"},
        {"salt": "AAAA"},
        {"salt": "!"},
        {"memory_bytes": 2**40},
        {"operations": 10**6},
        {"gridlight_operator_backup": 2},
        {"operator": SigningKey.generate().public},
        {"more": 1},
    ],
)
def test_a_backup_that_was_changed_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadOperatorKey):
        decrypt_operator(json.dumps(BACKUP | change).encode(), PASSWORD)


def test_what_is_no_backup_is_refused_and_so_is_a_short_password() -> None:
    with pytest.raises(BadOperatorKey, match="no operator's backup"):
        decrypt_operator(b"junk", PASSWORD)
    with pytest.raises(BadOperatorKey, match="too short"):
        encrypt_operator(OPERATOR, "short", **CHEAP)
