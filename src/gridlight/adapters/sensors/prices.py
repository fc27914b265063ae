"""Lists of electricity prices: CSV with the columns start and price, or the same as a list of objects in JSON."""

import csv
import io
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.core.tariff import Price
from gridlight.messages.codec import Decoder, ProtocolViolation

FILE_BYTES_MAX: Final = 1024 * 1024
PRICES_MAX: Final = 20_000
_MICROS: Final = 1_000_000


class BadPrices(ValueError):
    """The file is not there, or says what cannot be read."""


class _Row(Struct):
    start: str
    price: str | int | float


_rows: Final[Decoder[list[_Row]]] = Decoder(list[_Row], FILE_BYTES_MAX)


def read_prices(path: Path) -> tuple[Price, ...]:
    """In order of time. BadPrices says which row is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadPrices(f"the price file {path} cannot be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise BadPrices(f"{path} has {len(data)} bytes; a price file has at most {FILE_BYTES_MAX}")
    rows = _from_json(path, data) if path.suffix == ".json" else _from_csv(path, data)
    if len(rows) > PRICES_MAX:
        raise BadPrices(f"{path} has {len(rows)} prices; leave out what is past, at most {PRICES_MAX} are read")
    return tuple(sorted(_price(path, number, *row) for number, row in enumerate(rows, start=1)))


def _from_json(path: Path, data: bytes) -> list[tuple[str, str]]:
    try:
        return [(row.start, str(row.price)) for row in _rows.decode(data)]
    except ProtocolViolation as violation:
        raise BadPrices(f"{path} is no list of objects with start and price: {violation}") from violation


def _from_csv(path: Path, data: bytes) -> list[tuple[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
        return [(row["start"] or "", row["price"] or "") for row in rows]
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise BadPrices(f"{path} is no CSV whose first line is `start,price`") from error


def _price(path: Path, number: int, start: str, price: str) -> Price:
    """A start without an offset is in local time."""
    try:
        return Price(int(datetime.fromisoformat(start).timestamp()), int(Decimal(price) * _MICROS))
    except (ValueError, InvalidOperation, OverflowError) as error:
        example = "2026-01-31T14:00+01:00,0.23"
        raise BadPrices(f"{path}, price {number}: {start!r}, {price!r} should be as {example}") from error
