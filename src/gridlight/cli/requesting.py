"""The requester's words: `gridlight detect` and `gridlight run`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gridlight.cli.options import URL, ApiKeyOption, JsonOption
from gridlight.messages.api import Privacy
from gridlight.messages.trust import Assurance

if TYPE_CHECKING:
    from gridlight.client.requester import Gridlight
    from gridlight.messages.api import DetectResponse
    from gridlight.messages.money_api import DryRunResponse

RUN_DEADLINE_MS: Final = 20_000
"""Of what nobody knows how heavy it is; the network's own default is for its own detection."""

PhotoArgument = Annotated[
    Path, typer.Argument(help="A JPEG, PNG or WebP; - reads it from standard input.", allow_dash=True)
]
UrlOption = Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway.")]
SaveOption = Annotated[Path | None, typer.Option(help="Write the photo with its boxes drawn to this file.")]
ThresholdOption = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="Leave out what is less sure; at least 0.25.")
]
VerifyOption = Annotated[Assurance | None, typer.Option(help="How much checking to buy; sampled if left out.")]
PrivacyOption = Annotated[Privacy | None, typer.Option(help="Whether the input may be used again; no if left out.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Show what becomes of the answer until it is settled.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and run nothing.")]
WaitSecondsOption = Annotated[float, typer.Option(min=0, help="How long to wait for that.")]


def detect(
    photo: PhotoArgument,
    url: UrlOption = URL,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
    save: SaveOption = None,
    threshold: ThresholdOption = None,
    deadline_ms: Annotated[int | None, typer.Option(help="Answer or give up by then; 4000 if left out.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A model of `GET /v1/models`; the network's own if left out.")
    ] = None,
    verify: VerifyOption = None,
    privacy: PrivacyOption = None,
    wait: WaitOption = False,
    wait_s: WaitSecondsOption = 120,
    dry_run: DryRunOption = False,
) -> None:
    """Find what is in a photo, and where."""
    from gridlight.client.requester import Gridlight

    picture = _picture(photo)
    with Gridlight(url, api_key=api_key) as requester:
        if dry_run:
            _show_price(requester.dry_run(picture, model=model, verify=verify), as_json=as_json)
            return
        response = requester.detect(
            picture, threshold=threshold, deadline_ms=deadline_ms, model=model, verify=verify, privacy=privacy
        )
        _show(requester, response, picture, wait_s=wait_s if wait else None, as_json=as_json, save=save)


def run(
    workload: Annotated[str, typer.Argument(help="A workload of `GET /v1/models`, by its name or id.")],
    photo: PhotoArgument,
    url: UrlOption = URL,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
    save: SaveOption = None,
    threshold: ThresholdOption = None,
    deadline_ms: Annotated[int, typer.Option(help="Answer or give up by then.")] = RUN_DEADLINE_MS,
    verify: VerifyOption = None,
    privacy: PrivacyOption = None,
    wait: WaitOption = False,
    wait_s: WaitSecondsOption = 120,
    dry_run: DryRunOption = False,
) -> None:
    """Have a workload of the network run on a photo: read its text, say."""
    from gridlight.client.requester import Gridlight

    picture = _picture(photo)
    with Gridlight(url, api_key=api_key) as requester:
        if dry_run:
            _show_price(requester.dry_run(picture, workload=workload, verify=verify), as_json=as_json)
            return
        response = requester.run(
            workload, picture, threshold=threshold, deadline_ms=deadline_ms, verify=verify, privacy=privacy
        )
        _show(requester, response, picture, wait_s=wait_s if wait else None, as_json=as_json, save=save)


def _show_price(price: "DryRunResponse", *, as_json: bool) -> None:
    """And end with 1 where the account cannot pay it."""
    from gridlight.messages.codec import encode

    if as_json:
        typer.echo(encode(price).decode())
    else:
        typer.echo(f"{price.price} coin for {price.model}, {price.verify}; at most {price.escrow} held meanwhile")
        if price.account_id is not None:
            missing = "" if price.is_sufficient else f": {price.missing} are missing"
            typer.echo(f"{price.account_id} has {price.available}{missing}")
    if not price.is_sufficient:
        raise typer.Exit(1)


def _picture(photo: Path) -> bytes:
    from gridlight.client.exchange import read_photo

    return sys.stdin.buffer.read() if str(photo) == "-" else read_photo(photo)


def _show(
    requester: "Gridlight",
    response: "DetectResponse",
    picture: bytes,
    *,
    wait_s: float | None,
    as_json: bool,
    save: Path | None,
) -> None:
    """On the terminal, and in a file where one was named; once it is settled where that is waited for."""
    from rich.console import Console

    from gridlight.client.casestudy.printing import print_response
    from gridlight.client.drawing import save_drawing
    from gridlight.client.watching import watch
    from gridlight.messages.codec import encode

    if wait_s is not None:
        response = watch(requester, response, wait_s=wait_s, as_json=as_json)
    elif as_json:
        typer.echo(encode(response).decode())
    else:
        print_response(Console(), response)
    if save is not None:
        save_drawing(picture, response, save)
