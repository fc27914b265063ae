"""Addresses of the chain as text (strkey: base32 of a kind, a key and a checksum), and what is wrong with one.

The SDK is imported where it is first needed: that takes half a second, which every start of a gateway would take.
"""

from typing import Final

_HINT: Final = "an address is G and 55, or M and 68, characters of A-Z and 2-7; copy it whole from the wallet"


class BadAddress(ValueError):
    """Nothing can be paid there; `hint` says what an address is. The text is never repeated: it may be a secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.hint = _HINT


def checked_address(text: str) -> str:
    """The same, where payments can go to it: an account, or an account with an id inside (muxed)."""
    from stellar_sdk import StrKey

    if StrKey.is_valid_ed25519_public_key(text) or StrKey.is_valid_med25519_public_key(text):
        return text
    if text.startswith("S"):
        raise BadAddress("this is a secret seed, not an address: whoever saw it can spend its money")
    if text.startswith("C"):
        raise BadAddress("this is a contract's address; payouts go to accounts")
    if not text.startswith(("G", "M")):
        raise BadAddress("an address starts with G or M")
    lengths = {"G": 56, "M": 69}
    wanted = lengths[text[0]]
    if len(text) != wanted:
        raise BadAddress(f"an address that starts with {text[0]} has {wanted} characters, and this has {len(text)}")
    raise BadAddress("the address is mistyped: its checksum is wrong")


def account_of(address: str) -> str:
    """The `G…` behind an address."""
    from stellar_sdk import MuxedAccount

    return MuxedAccount.from_account(checked_address(address)).account_id


def deposit_address(account: str, requester: int) -> str:
    """Where one requester pays in: the network's account with the requester's number inside, 64 bits of it."""
    from stellar_sdk import MuxedAccount

    assert 0 <= requester < 2**64
    return MuxedAccount(checked_address(account), requester).account_muxed or account


def requester_of(address: str) -> int | None:
    """The number inside; None where there is none."""
    from stellar_sdk import MuxedAccount

    return MuxedAccount.from_account(checked_address(address)).account_muxed_id
