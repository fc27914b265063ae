"""Who comes and goes on the bus, as the server itself tells it."""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from gridlight.adapters.bus import Bus, Delivery
from gridlight.messages import subjects
from gridlight.messages.codec import Decoder
from gridlight.messages.ids import NodeId
from gridlight.messages.subjects import session_of


async def follow_presence(
    system_bus: Bus,
    account: str,
    *,
    on_connected: Callable[[NodeId], Awaitable[None]] | None = None,
    on_disconnected: Callable[[NodeId, str | None], Awaitable[None]],
) -> None:
    """Hear from the server itself which users of the account come and go; needs the system user's credentials.

    Services are users too, so ids come that are no node's. A connection that was named by its session is told with
    that. Of others, one that closes after its node has made a newer one is not reported: the node is there.
    """
    newest: dict[NodeId, tuple[str, int]] = {}

    async def connected(delivery: Delivery) -> None:
        event = _presence_events.decode(delivery.body)
        newest[event.client.user] = (event.server.id, event.client.id)
        if on_connected is not None:
            await on_connected(event.client.user)

    async def disconnected(delivery: Delivery) -> None:
        event = _presence_events.decode(delivery.body)
        connection = (event.server.id, event.client.id)
        session = session_of(event.client.name)
        if newest.get(event.client.user, connection) == connection:
            newest.pop(event.client.user, None)
        elif session is None:
            return
        await on_disconnected(event.client.user, session)

    await system_bus.subscribe(subjects.account_connects(account), connected)
    await system_bus.subscribe(subjects.account_disconnects(account), disconnected)


class _PresenceServer(Struct, frozen=True, gc=False):
    id: str


class _PresenceClient(Struct, frozen=True, gc=False):
    id: int
    user: NodeId
    name: str = ""


class _PresenceEvent(Struct, frozen=True, gc=False):
    """What is read of the server's `client_connect` and `client_disconnect` advisories, version 1."""

    server: _PresenceServer
    client: _PresenceClient


_presence_events: Final[Decoder[_PresenceEvent]] = Decoder(_PresenceEvent)
