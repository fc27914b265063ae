"""Passphrases of chains: a transaction's hash, and so a signature, is of one network alone."""

from typing import Final

STELLAR: Final = "Public Global Stellar Network ; September 2015"
STELLAR_TESTNET: Final = "Test SDF Network ; September 2015"
PI: Final = "Pi Network"
PI_TESTNET: Final = "Pi Testnet"
