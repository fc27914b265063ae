"""The words that run a network: `gridlight up`, what it needs, and the services that it starts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gridlight.cli.ending import demand, explaining
from gridlight.cli.options import EngineOption, JsonOption

if TYPE_CHECKING:
    from gridlight.client.progress import StageProgress

ConfigOption = Annotated[Path, typer.Option("--config", help="Its TOML file.", exists=True, dir_okay=False)]


def setup(as_json: JsonOption = False) -> None:
    """Fetch the model's weights and the demo's photos into the cache. Done by itself where it is needed."""
    from rich.console import Console

    from gridlight.client.progress import StageProgress
    from gridlight.messages.codec import encode

    with StageProgress(Console(stderr=True)) as progress:
        photos = set_up(progress)
    if as_json:
        typer.echo(encode({"photos": [str(photo) for photo in photos]}).decode())
    else:
        for photo in photos:
            typer.echo(photo)


def up(
    data: Annotated[Path, typer.Option(help="The network's folder: keys, journal, logs, network.json.")],
    nodes: Annotated[int, typer.Option(min=0, max=50, help="Nodes to start; 0 serves those that join by hand.")] = 7,
    http: Annotated[str, typer.Option(help="Where requesters and nodes reach the gateway.")] = "127.0.0.1:8080",
    references: Annotated[int, typer.Option(min=0, max=9, help="Further nodes, to settle what others dispute.")] = 0,
    trust: Annotated[
        Literal["laptop", "production"], typer.Option(help="How soon nodes are trusted, and how often checked.")
    ] = "laptop",
    engine: EngineOption = "subprocess",
    money: Annotated[
        Path | None, typer.Option(help="A TOML file with prices, as docs/ledger.md has it; without it all is free.")
    ] = None,
    websocket: Annotated[
        str | None, typer.Option(help="HOST:PORT where the bus speaks WebSocket, for a reverse proxy to pass on.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="What the gateway is called from elsewhere, with the bus below /bus.")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Where the reverse proxy comes from: its word on who is behind it is believed. Repeatable."),
    ] = None,
) -> None:
    """Run a whole network on this machine: bus, coordinator, gateway and nodes, each a process. Ctrl-C stops it."""
    from gridlight.adapters.bus_server import ServerNotFound
    from gridlight.adapters.configuration import BadConfiguration, load_config
    from gridlight.services import network
    from gridlight.services.addresses import CannotStart, Outside
    from gridlight.services.prices import PricesFile
    from gridlight.services.setup import SetupFailed

    demand("litestar", "sqlalchemy", "uvicorn")  # of the services, which this process starts and does not load
    outside = Outside(websocket=websocket, public_url=public_url, trusted_proxies=tuple(trusted_proxy or ()))
    with explaining(BadConfiguration):
        prices = None if money is None else load_config(money, PricesFile)
    with explaining(CannotStart, ServerNotFound, SetupFailed):
        network.run(
            nodes=nodes,
            data=data,
            http=http,
            references=references,
            trust=trust,
            outside=outside,
            engine=engine,
            prices=prices,
        )


def coordinator(config: ConfigOption) -> None:
    """Run a network's coordinator. Internal: `gridlight up` starts it and writes its file."""
    from gridlight.adapters.configuration import load_config
    from gridlight.services.coordinator import main as service
    from gridlight.services.coordinator.config import CoordinatorConfig

    with explaining(ValueError, OSError):
        load_config(config, CoordinatorConfig)
    service.run(config_path=config)


def gateway(config: ConfigOption) -> None:
    """Run a network's gateway. Internal: `gridlight up` starts it and writes its file."""
    from gridlight.adapters.configuration import load_config
    from gridlight.services.gateway import main as service
    from gridlight.services.gateway.config import GatewayConfig

    with explaining(ValueError, OSError):
        load_config(config, GatewayConfig)
    service.run(config_path=config)


def set_up(progress: "StageProgress") -> list[Path]:
    """The weights and the photos, in the cache; the photos' paths."""
    from gridlight.services.setup import SetupFailed, ensure_photos, ensure_weights

    with explaining(SetupFailed):
        ensure_weights(progress.say)
        return ensure_photos(progress.say)
