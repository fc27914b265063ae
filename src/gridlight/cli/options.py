"""Options that several words share."""

from typing import Annotated

import typer

URL = "http://127.0.0.1:8080"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
