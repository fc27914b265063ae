"""Passphrases of chains: a transaction's hash, and so a signature, is of one network alone."""

from typing import Final

STELLAR_TESTNET: Final = "Test SDF Network ; September 2015"
