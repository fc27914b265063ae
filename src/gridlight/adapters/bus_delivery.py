"""What comes over the bus, as it arrived, and how sending and receiving fail."""

import base64
import binascii
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gridlight.messages.envelope import MESSAGE_HEADER, SIGNATURE_HEADER

_NO_RESPONDERS: Final = b"NATS/1.0 503"
_MESSAGE_LINE: Final = f"\r\n{MESSAGE_HEADER}:".encode()
_SIGNATURE_LINE: Final = f"\r\n{SIGNATURE_HEADER}:".encode()


class BusError(Exception):
    """The bus is away, refuses us, or does not answer in time."""


class BusRefused(BusError):
    """The bus is there, and does not take us."""


class Delivery(Struct, frozen=True, gc=False):
    """One message as it arrived. `message` and `signature` are its headers' bytes, None where there are none."""

    subject: str
    reply: str
    body: bytes
    message: bytes | None
    signature: bytes | None
    no_responders: bool
    """The server's own word to a request's inbox: nobody is subscribed to its subject."""


Listener = Callable[[Delivery], None]
"""Raises nothing."""


def header_lines(message: bytes | None, signature: bytes | None) -> bytes:
    """Each begun by CRLF; nothing where there are none."""
    headers = b""
    if message is not None:
        assert b"\n" not in message
        headers = b"%b %b" % (_MESSAGE_LINE, message)
    if signature is not None:
        headers = b"%b%b %b" % (headers, _SIGNATURE_LINE, base64.b64encode(signature))
    return headers


def delivered(subject: str, reply: str, headers: bytes | None, body: bytes) -> Delivery:
    """A message of these header lines, which are read for what is looked for and else left alone."""
    if not headers:
        return Delivery(subject, reply, body, None, None, False)
    return Delivery(
        subject=subject,
        reply=reply,
        body=body,
        message=_header(headers, _MESSAGE_LINE),
        signature=_decoded(_header(headers, _SIGNATURE_LINE)),
        no_responders=headers.startswith(_NO_RESPONDERS),
    )


def _header(headers: bytes, line: bytes) -> bytes | None:
    start = headers.find(line)
    if start < 0:
        return None
    start += len(line)
    return headers[start : headers.index(b"\r\n", start)].strip()


def _decoded(text: bytes | None) -> bytes | None:
    if text is None:
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
