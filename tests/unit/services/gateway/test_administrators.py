import pytest

from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.errors import Refusal

TOKEN = "correct-horse-battery-staple"
ADMIN = AdminToken(TOKEN)


@pytest.mark.parametrize("sent", [f"Bearer {TOKEN}", f"bearer {TOKEN} "])
def test_the_admin_token_is_known(sent: str) -> None:
    headers = {b"authorization": sent.encode()}

    ADMIN.demand(headers)
    assert ADMIN.is_sent(headers)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("Bearer wrong", "FORBIDDEN"),
        (f"Bearer {TOKEN}x", "FORBIDDEN"),
        (f"Basic {TOKEN}", "UNAUTHORIZED"),
        ("Bearer ", "UNAUTHORIZED"),
        ("", "UNAUTHORIZED"),
    ],
)
def test_anything_else_is_refused(sent: str, code: str) -> None:
    for ask in (ADMIN.demand, ADMIN.is_sent):
        with pytest.raises(Refusal) as caught:
            ask({b"authorization": sent.encode()})
        assert caught.value.code == code


def test_one_who_sends_no_token_is_no_administrator() -> None:
    assert not ADMIN.is_sent({})
    with pytest.raises(Refusal) as caught:
        ADMIN.demand({})
    assert caught.value.status == 401


def test_a_token_that_could_be_guessed_is_refused_at_the_start() -> None:
    with pytest.raises(AssertionError, match="guessed"):
        AdminToken("short")
