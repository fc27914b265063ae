"""What listeners hear of a server's stream, however it is cut, and what goes on to nats-py."""

import asyncio
import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlight.adapters.bus_delivery import Delivery, Listener, delivered
from gridlight.adapters.bus_listening import _READ_BYTES, Listening

HEARD, UNHEARD = 1, 2
HEADERS = b"NATS/1.0\r\nGridlight-Message: {}\r\n\r\n"


class Stream:
    """What goes on."""

    def __init__(self) -> None:
        self.received = b""
        self.told: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.received += data

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def eof_received(self) -> bool:
        self.told.append("end")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append(f"lost: {error}")


def listening() -> tuple[Listening, Stream, list[Delivery]]:
    stream, heard = Stream(), list[Delivery]()
    return Listening(cast("asyncio.StreamReaderProtocol", stream), {HEARD: heard.append}), stream, heard


def come(protocol: Listening, data: bytes, at_most: int = 1 << 30) -> None:
    """As a connection gives it: never more at once than there is room for."""
    while data:
        room = protocol.get_buffer(-1)
        count = min(len(room), len(data), at_most)
        room[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


def test_what_the_stream_had_already_is_heard_first() -> None:
    class Connection(asyncio.Transport):
        def __init__(self) -> None:
            self.protocol: asyncio.BaseProtocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            self.told: list[str] = []

        def get_protocol(self) -> asyncio.BaseProtocol:
            return self.protocol

        def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
            self.protocol = protocol

        def pause_reading(self) -> None:
            self.told.append("pause")

        def resume_reading(self) -> None:
            self.told.append("resume")

    async def begin(cut: int, heard: list[Delivery]) -> None:
        Listening.begin(connection := Connection(), both[:cut], {HEARD: heard.append})
        assert connection.told == ["pause", "resume"]
        assert isinstance(connection.protocol, Listening)
        connection.protocol.feed(both[cut:])

    first, second = b"1" * (2 * _READ_BYTES), b"2"
    both = message(HEARD, first) + message(HEARD, second)
    for cut in (0, 3, 30, len(first), len(both)):
        heard: list[Delivery] = []
        asyncio.run(begin(cut, heard))
        assert [one.body for one in heard] == [first, second]


def message(subscription: int, body: bytes, *, reply: str = "", headers: bytes = b"") -> bytes:
    """One as a server writes it."""
    ways = " ".join(one for one in ("control.s0", str(subscription), reply) if one).encode()
    if headers:
        return b"HMSG %b %d %d\r\n%b%b\r\n" % (ways, len(headers), len(headers) + len(body), headers, body)
    return b"MSG %b %d\r\n%b\r\n" % (ways, len(body), body)


bodies = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\r\n", b"MSG x 1 3\r\nabc\r\n", b"PING\r\n"]),
    st.integers(_READ_BYTES - 80, 3 * _READ_BYTES).map(lambda count: random.Random(count).randbytes(count)),
)
messages = st.tuples(
    st.sampled_from([HEARD, UNHEARD]), bodies, st.sampled_from(["", "_INBOX.1"]), st.sampled_from([b"", HEADERS])
)
others = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'x'\r\n", b'INFO {"max_payload":1}\r\n'])


@given(st.lists(st.one_of(messages, others), max_size=8), st.integers(1, 2 * _READ_BYTES))
def test_each_message_is_heard_whole_and_all_else_goes_on_as_it_came(
    told: list[tuple[int, bytes, str, bytes] | bytes], at_most: int
) -> None:
    protocol, stream, heard = listening()
    data, expected, passed = b"", [], b""
    for one in told:
        if isinstance(one, bytes):
            data, passed = data + one, passed + one
            continue
        subscription, body, reply, headers = one
        whole = message(subscription, body, reply=reply, headers=headers)
        data += whole
        if subscription == HEARD:
            expected.append(delivered("control.s0", reply, headers, body))
        else:
            passed += whole

    come(protocol, data, max(at_most, len(data) // 4_000 + 1))

    assert heard == expected
    assert stream.received == passed


def test_what_was_heard_stays_though_its_memory_is_used_again() -> None:
    protocol, _, heard = listening()
    first, second = b"1" * (2 * _READ_BYTES), b"2" * (2 * _READ_BYTES)

    come(protocol, message(HEARD, first) + message(HEARD, second))

    assert [one.body for one in heard] == [first, second]


def test_a_subscription_that_is_listened_to_later_is_heard_from_then_on() -> None:
    stream, heard = Stream(), list[Delivery]()
    listeners: dict[int, Listener] = {}
    protocol = Listening(cast("asyncio.StreamReaderProtocol", stream), listeners)

    come(protocol, message(HEARD, b"before"))
    listeners[HEARD] = heard.append
    come(protocol, message(HEARD, b"after"))

    assert [one.body for one in heard] == [b"after"]
    assert stream.received == message(HEARD, b"before")


NO_MESSAGES = [
    "MSG ",
    "MSG a 1 x",
    "MSG a one 1",
    "MSG  1",
    "MSG a 1 -1",
    "HMSG a 1 2",
    "HMSG a 1 r x 2",
    "HMSG a 1 3 2",
]


@pytest.mark.parametrize("line", NO_MESSAGES)
def test_a_message_that_is_none_ends_the_connection(line: str) -> None:
    protocol, _, heard = listening()

    with pytest.raises(ConnectionError, match="began a message with"):
        come(protocol, line.encode() + b"\r\n")

    assert not heard


def test_a_line_without_end_ends_the_connection() -> None:
    protocol, _, _ = listening()

    with pytest.raises(ConnectionError, match="a line of more than 65536 bytes"):
        come(protocol, b"x" * (_READ_BYTES + 1))


def test_the_stream_is_told_of_all_but_data() -> None:
    protocol, stream, _ = listening()

    protocol.pause_writing()
    protocol.resume_writing()
    protocol.eof_received()
    protocol.connection_lost(None)

    assert stream.told == ["pause", "resume", "end", "lost: None"]
