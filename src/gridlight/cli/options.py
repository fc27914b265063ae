"""Options that several words share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gridlight.adapters.node_folder import default_folder

URL = "http://127.0.0.1:8080"

NodeFolderOption = Annotated[
    Path,
    typer.Option(
        "--data",
        default_factory=default_folder,
        show_default="in your data folder",
        help="The node's folder: its key, its memory.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

EngineOption = Annotated[
    Literal["auto", "podman", "bubblewrap", "subprocess"],
    typer.Option(help="What keeps workers in; auto is the strongest that proves itself on this machine."),
]

ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="GRIDLIGHT_API_KEY", help="Your account's key; that of a network on this machine is found by itself."
    ),
]
