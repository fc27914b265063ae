"""The requester's words: `gridlight detect`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli.options import URL, ApiKeyOption, JsonOption
from gridlight.messages.api import Privacy
from gridlight.messages.trust import Assurance


def detect(
    photo: Annotated[
        Path, typer.Argument(help="A JPEG, PNG or WebP; - reads it from standard input.", allow_dash=True)
    ],
    url: Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway.")] = URL,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
    save: Annotated[Path | None, typer.Option(help="Write the photo with its boxes drawn to this file.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Leave out what is less sure; at least 0.25.")
    ] = None,
    deadline_ms: Annotated[int | None, typer.Option(help="Answer or give up by then; 4000 if left out.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A model of `GET /v1/models`; the network's own if left out.")
    ] = None,
    verify: Annotated[Assurance | None, typer.Option(help="How much checking to buy; sampled if left out.")] = None,
    privacy: Annotated[
        Privacy | None, typer.Option(help="Whether the input may be used again; no if left out.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show what becomes of the answer until it is settled.")] = False,
    wait_s: Annotated[float, typer.Option(min=0, help="How long to wait for that.")] = 120,
) -> None:
    """Find what is in a photo, and where."""
    from rich.console import Console

    from gridlight.client.casestudy.printing import print_response
    from gridlight.client.exchange import read_photo
    from gridlight.client.requester import Gridlight
    from gridlight.client.watching import watch
    from gridlight.messages.codec import encode

    picture = sys.stdin.buffer.read() if str(photo) == "-" else read_photo(photo)
    with Gridlight(url, api_key=api_key) as requester:
        response = requester.detect(
            picture, threshold=threshold, deadline_ms=deadline_ms, model=model, verify=verify, privacy=privacy
        )
        if wait:
            response = watch(requester, response, wait_s=wait_s, as_json=as_json)
        elif as_json:
            typer.echo(encode(response).decode())
        else:
            print_response(Console(), response)
    if save is not None:
        from gridlight.client.drawing import save_drawing

        save_drawing(picture, response.detections, save)
