"""Options that several words share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

URL = "http://127.0.0.1:8080"

NodeFolderOption = Annotated[
    Path | None,
    typer.Option("--data", help="The node's folder: its key, its memory. In your data folder, if left out."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

EngineOption = Annotated[
    Literal["auto", "podman", "bubblewrap", "subprocess"],
    typer.Option(help="What keeps workers in; auto is the strongest that proves itself on this machine."),
]
