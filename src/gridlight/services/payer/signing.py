"""The signer: signs what equals a sealed record and nothing else, whoever asks, in this process or in one of its own.

It builds the transaction from the record by itself, so whoever asks cannot have other bytes signed. A compromised payer
could still write records; the daily cap, counted here again, is what it could take.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct
from stellar_sdk import Keypair

from gridlight.adapters.chain.transactions import Builder
from gridlight.adapters.payout_store import PayoutStore, SealedTransaction
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.payouts import PayoutBatch, PayoutParameters

DEADLINE_S: Final = 10.0
_LINE_BYTES_MAX: Final = 64 * 1024


class NotSigned(Exception):
    """The signer does not sign this, and says why."""


class Signed(Struct, frozen=True):
    """`inner` is the sealed transaction, signed; `outer` what to submit: the same, or a fee bump around it."""

    inner: str
    outer: str


class _Ask(Struct, frozen=True):
    hash: str


class _Say(Struct, frozen=True):
    signed: Signed | None = None
    refused: str = ""


_asks: Final[Decoder[_Ask]] = Decoder(_Ask)
_says: Final[Decoder[_Say]] = Decoder(_Say)


class SignerPort(Protocol):
    """Whoever signs."""

    async def sign(self, digest: str) -> Signed:
        """The sealed transaction of this hash. NotSigned says why not."""


def build(builder: Builder, batch: PayoutBatch) -> SealedTransaction:
    """What is written of a batch when it is sealed."""
    envelope = builder.build(batch)
    return SealedTransaction(
        envelope.hash_hex(), batch.batch_id, batch.channel, batch.sequence, batch.max_time_s, envelope.to_xdr()
    )


class Signer:
    """Holds the keys, and reads the records by itself."""

    def __init__(
        self, store: PayoutStore, builder: Builder, keys: Mapping[str, Keypair], parameters: PayoutParameters
    ) -> None:
        self._store: Final = store
        self._builder: Final = builder
        self._keys: Final = keys
        self._parameters: Final = parameters

    async def sign(self, digest: str) -> Signed:
        """As `SignerPort` says. It signs the newest seal of an open batch."""
        batch = self._checked(digest)
        accounts = self._builder.signers(batch)
        if missing := [account for account in accounts if account not in self._keys]:
            raise NotSigned(f"the signer has no key of {missing[0]}")
        envelope = self._builder.build(batch)
        inner = self._builder.sign(envelope, [self._keys[account] for account in accounts])
        if batch.bump_units <= batch.fee_units:
            return Signed(inner, inner)
        return Signed(inner, self._builder.bump(inner, self._keys[self._builder.payer], batch.bump_units))

    def _checked(self, digest: str) -> PayoutBatch:
        record = self._store.transaction(digest)
        if record is None:
            raise NotSigned("no sealed record has this hash")
        batch = self._store.batch(record.batch_id)
        if batch is None or not batch.is_open or build(self._builder, batch).hash != digest:
            raise NotSigned("the record of this hash is not the one that is sealed now")
        for other in self._store.transactions(batch.channel, batch.sequence):
            if other.hash != digest and other.max_time_s >= batch.closed_s:
                raise NotSigned("another transaction of this sequence may still be taken")
        if self._store.drawn_units(batch.day) > self._parameters.daily_cap_units:
            raise NotSigned("the day's cap is exceeded")
        if max(batch.fee_units, batch.bump_units) > self._parameters.fee_units_max:
            raise NotSigned("the fee is higher than allowed")
        return batch


async def serve_signer(signer: Signer, path: Path, stop: asyncio.Event) -> None:
    """Answer on a socket that only this user can reach, until told to stop."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                said = await _answer(signer, await reader.readline())
                writer.write(encode(said) + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # whoever asks asks again
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, sock=_bound(path), limit=_LINE_BYTES_MAX)
    async with server:
        await stop.wait()


def _bound(path: Path) -> socket.socket:
    """Nobody else may connect, not even for a moment."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    return bound


async def _answer(signer: Signer, line: bytes) -> _Say:
    try:
        return _Say(signed=await signer.sign(_asks.decode(line).hash))
    except (NotSigned, ProtocolViolation) as error:
        return _Say(refused=str(error))


class RemoteSigner:
    """The signer's process, asked over its socket."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    async def sign(self, digest: str) -> Signed:
        """As `SignerPort` says; NotSigned also where nobody answers."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=_LINE_BYTES_MAX)
                try:
                    writer.write(encode(_Ask(digest)) + b"\n")
                    said = _says.decode(await reader.readline())
                finally:
                    writer.close()
        except (TimeoutError, OSError, ValueError, ProtocolViolation) as error:
            raise NotSigned(f"the signer at {self._path} does not answer: is it running?") from error
        if said.signed is None:
            raise NotSigned(said.refused)
        return said.signed
