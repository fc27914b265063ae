"""What the payer and its signer are told: one TOML file for both, and secrets from files or the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from stellar_sdk import Keypair
from stellar_sdk.exceptions import Ed25519SecretSeedInvalidError

from gridlight.adapters.chain.addresses import checked_address
from gridlight.adapters.chain.passphrases import STELLAR_TESTNET
from gridlight.adapters.chain.transactions import Builder
from gridlight.messages.payouts import ChannelRecord, PayoutParameters, Rail
from gridlight.messages.subjects import SHARD_DEFAULT

SEEDS_VARIABLE: Final = "GRIDLIGHT_PAYER_SEEDS"
PI_KEY_VARIABLE: Final = "GRIDLIGHT_PI_API_KEY"


class PayerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    database_url: str
    horizon_url: str
    payer: str
    """The account that the money comes from, and that requesters pay in to."""
    passphrase: str = STELLAR_TESTNET
    channels: tuple[str, ...] = ()
    """Accounts that give sequence numbers and fees; the payer itself if none is named."""
    signer: Path | None = None
    """The socket of the signer's process; without it this process signs, and has the keys."""
    seeds: Path | None = None
    """A file of secret seeds, one a line, for whoever signs; or they are in the environment."""
    pi_url: str = ""
    pi_channel: str = ""
    """The account of Pi's app, which pays one user at a time."""
    nats_url: str = ""
    """The network's bus, to have held in its ledger what is paid; without it only what is in the payer's books is."""
    credentials: Path | None = None
    """`payer.creds` of the network's keys."""
    statements_url: str = ""
    """The network's database, where gateways keep accounts and what operators say of addresses, and the coordinator the
    ledger; `database_url` if none is named.
    """
    shard: str = SHARD_DEFAULT
    parameters: PayoutParameters = PayoutParameters()

    def builder(self) -> Builder:
        """Of this network's transactions. BadAddress where an account is none."""
        return Builder(self.passphrase, checked_address(self.payer))

    def channel_records(self) -> list[ChannelRecord]:
        """As they are before the first look."""
        records = [ChannelRecord(account=checked_address(account)) for account in self.channels or (self.payer,)]
        if self.pi_channel:
            records.append(ChannelRecord(account=checked_address(self.pi_channel), rail=Rail.PI))
        return records

    def keys(self, environment: Mapping[str, str] = os.environ) -> dict[str, Keypair]:
        """By account. ValueError where a seed is none; it is never repeated."""
        text = environment.get(SEEDS_VARIABLE, "") if self.seeds is None else self.seeds.read_text(encoding="ascii")
        try:
            pairs = [Keypair.from_secret(seed) for seed in text.split()]
        except Ed25519SecretSeedInvalidError as error:
            raise ValueError(
                f"a seed of {self.seeds or SEEDS_VARIABLE} is mistyped: it is S and 55 characters"
            ) from error
        return {pair.public_key: pair for pair in pairs}
