"""Options that several words share."""

from typing import Annotated, Literal

import typer

URL = "http://127.0.0.1:8080"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

EngineOption = Annotated[
    Literal["auto", "podman", "bubblewrap", "subprocess"],
    typer.Option(help="What keeps workers in; auto is the strongest that proves itself on this machine."),
]
