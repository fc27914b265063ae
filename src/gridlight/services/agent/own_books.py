"""What `gridlight node earnings` and `receipts` ask of the network, in the name of the node whose folder it is."""

from collections.abc import Iterator
from pathlib import Path

from gridlight.adapters.node_folder import NODE_KEY_FILE
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.money_api import EarningsLine, EarningsResponse, ReceiptsResponse
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused

_FIRST_SHEET = -1


def all_earnings(network_url: str, data: Path) -> tuple[list[EarningsLine], EarningsResponse]:
    """Every page's lines, and the last page. ValueError where the folder is no node's; GatewayUnreachable or
    GatewayRefused where the network gives no answer, or says no.
    """
    api, node = GatewayApi(network_url), key_of(data)
    lines: list[EarningsLine] = []
    after = _FIRST_SHEET
    while True:
        page = api.earnings(node, after)
        lines += page.lines
        if page.next_after is None:
            return lines, page
        if page.next_after <= after:
            raise GatewayRefused(f"{api.url}: the pages of earnings do not end")
        after = page.next_after


def receipt_pages(network_url: str, data: Path, after: str) -> Iterator[ReceiptsResponse]:
    """Pages of receipts after one; errors as of `all_earnings`."""
    api, node = GatewayApi(network_url), key_of(data)
    while True:
        page = api.receipts(node, after)
        yield page
        if page.next_after is None:
            return
        if page.next_after == after:
            raise GatewayRefused(f"{api.url}: the pages of receipts do not end")
        after = page.next_after


def key_of(data: Path) -> SigningKey:
    """The node's key. ValueError where the folder is no node's."""
    if not (data / NODE_KEY_FILE).exists():
        raise ValueError(f"{data} is no node's folder: there is no {NODE_KEY_FILE} in it")
    return SigningKey.load_or_create(data / NODE_KEY_FILE)
