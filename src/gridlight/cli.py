"""The command `gridlight`: says what each word does, and hands it to the client or to a service.

Heavy imports are inside the commands, so that `gridlight --help` is quick. Errors that a person can act on are one
line on stderr with a hint.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from gridlight.client.errors import GridlightError
from gridlight.client.network_commands import URL, JsonOption, network_app
from gridlight.messages.api import Privacy
from gridlight.messages.trust import Assurance

if TYPE_CHECKING:
    from rich.console import Console

    from gridlight.client.casestudy.study import Outcome
    from gridlight.client.progress import StageProgress

USAGE_ERROR = 2
EXPECTED_ERROR = 1
INTERRUPTED = 130

app = typer.Typer(
    name="gridlight",
    help="An open network on which volunteers' idle computers do AI work for strangers.",
    epilog="Try it: gridlight demo",
    add_completion=False,
    pretty_exceptions_enable=False,
)
node_app = typer.Typer(help="Run a node of a network.")
app.add_typer(node_app, name="node")
app.add_typer(network_app, name="network")

ConfigOption = Annotated[Path, typer.Option("--config", help="Its TOML file.", exists=True, dir_okay=False)]


def main() -> None:
    """Run the command line and exit."""
    if not __debug__:
        fail("Gridlight relies on its assertions", "run Python without -O and PYTHONOPTIMIZE")
    try:
        status = typer.main.get_command(app).main(prog_name="gridlight", standalone_mode=False)
    except typer.TyperException as error:
        fail(
            " ".join(error.format_message().split()),
            "`gridlight COMMAND --help` says what a command takes",
            USAGE_ERROR,
        )
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except GridlightError as error:
        fail(str(error), error.hint)
    except OSError as error:
        fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), "")
    sys.exit(status if isinstance(status, int) else 0)


def fail(message: str, hint: str, status: int = EXPECTED_ERROR) -> NoReturn:
    """End with one line on stderr, and what to do."""
    line = f"gridlight: {message.rstrip('.')}"
    sys.stderr.write(f"{line} ({hint})\n" if hint and "\n" not in hint else f"{line}\n{hint}\n".replace("\n\n", "\n"))
    sys.exit(status)


def print_version(wanted: bool) -> None:
    """For `--version`."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gridlight {version('gridlight')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def gridlight(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """An open network on which volunteers' idle computers do AI work for strangers."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def detect(
    photo: Annotated[
        Path, typer.Argument(help="A JPEG, PNG or WebP; - reads it from standard input.", allow_dash=True)
    ],
    url: Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway.")] = URL,
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
    with Gridlight(url) as requester:
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


@app.command()
def casestudy(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="JPEG, PNG or WebP files.")],
    network: Annotated[Path, typer.Option(help="The network.json of a network on this machine.")],
    out: Annotated[Path, typer.Option(help="The folder for casestudy.json and report.html.")],
    requests: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Ordinary requests, after the pinned ones.")
    ] = 200,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Ordinary requests at once.")] = 8,
    kill: Annotated[bool, typer.Option("--kill", help="Kill one node and freeze another midway.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Also write photos and plots as one PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a network: every photo on every node, then ordinary requests."""
    from rich.console import Console

    from gridlight.client.casestudy.study import Plan, run_case_study
    from gridlight.client.progress import StageProgress

    interrupt_on_termination()
    plan = Plan(photos=tuple(photos), network=network, requests=requests, concurrency=concurrency, kill=kill)
    console = Console(stderr=True)
    with StageProgress(console) as progress:
        outcome = run_case_study(plan, progress)
    publish(outcome, out, console, as_json=as_json)
    if picture is not None:
        from gridlight.client.casestudy.poster import save_poster

        save_poster(outcome, picture)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for casestudy.json and report.html.")] = Path("build/demo"),
    nodes: Annotated[int, typer.Option(min=1, max=50, help="How many nodes to start.")] = 7,
    requests: Annotated[int, typer.Option(min=0, max=100_000, help="Ordinary requests.")] = 200,
    kill: Annotated[bool, typer.Option("--kill", help="Kill one node and freeze another midway.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Everything at once: set up, start a network of seven nodes, run the case study, stop the network."""
    import tempfile

    from rich.console import Console

    from gridlight.client.casestudy.study import Plan, run_case_study
    from gridlight.client.local_network import LocalNetwork
    from gridlight.client.progress import StageProgress

    interrupt_on_termination()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="gridlight-demo-") as folder, StageProgress(console) as progress:
        photos = set_up(progress)
        with LocalNetwork(Path(folder), nodes=nodes, progress=progress) as started:
            plan = Plan(photos=tuple(photos), network=started.network_path, requests=requests, concurrency=8, kill=kill)
            outcome = run_case_study(plan, progress)
    publish(outcome, out, console, as_json=as_json)


@app.command()
def simulate(
    scenario: Annotated[Path, typer.Argument(help="A TOML file as in scenarios/.")],
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Another run; the file's own if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder for report.json and report.html.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Another value: demand.gateways=4.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a whole network in virtual time, with the core that coordinators run, and check it all the while."""
    import resource

    from rich.console import Console

    from gridlight.adapters.clock import monotonic_ms
    from gridlight.client.casestudy.environment import commit
    from gridlight.client.progress import StageProgress
    from gridlight.messages.codec import encode
    from gridlight.simulation.report import Instruments, summary, write_json
    from gridlight.simulation.run import SimulationFailed, run_scenario
    from gridlight.simulation.scenario import BadScenario

    instruments = Instruments(
        clock_ms=monotonic_ms,
        rss_mib=lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        commit=commit(),
    )
    console = Console(stderr=True)
    try:
        with StageProgress(console) as progress:
            given = overrides or ()
            report = run_scenario(scenario, seed=seed, overrides=given, instruments=instruments, listen=progress)
    except BadScenario as error:
        raise GridlightError(str(error), "docs/simulation.md tells what a scenario may say") from error
    except SimulationFailed as failure:
        raise GridlightError(str(failure), f"repeat it: {failure.command}") from failure
    typer.echo(encode(report).decode() if as_json else "\n".join(summary(report)))
    if out is not None:
        from gridlight.simulation.page import write_page

        json_path = write_json(report, out)
        try:
            page_path = write_page(report, out)
        except ImportError as error:
            raise GridlightError(f"the page needs {error.name}", "pip install 'gridlight[report]'") from error
        console.print(f"wrote {page_path} and {json_path}", highlight=False, soft_wrap=True)


@app.command()
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


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="The network's folder: keys, journal, logs, network.json.")],
    nodes: Annotated[int, typer.Option(min=0, max=50, help="Nodes to start; 0 serves those that join by hand.")] = 7,
    http: Annotated[str, typer.Option(help="Where requesters and nodes reach the gateway.")] = "127.0.0.1:8080",
    references: Annotated[int, typer.Option(min=0, max=9, help="Further nodes, to settle what others dispute.")] = 0,
    trust: Annotated[
        Literal["laptop", "production"], typer.Option(help="How soon nodes are trusted, and how often checked.")
    ] = "laptop",
) -> None:
    """Run a whole network on this machine: bus, coordinator, gateway and nodes, each a process. Ctrl-C stops it."""
    from gridlight.adapters.bus_server import ServerNotFound
    from gridlight.services import network
    from gridlight.services.setup import SetupFailed

    with explaining(network.CannotStart, ServerNotFound, SetupFailed):
        network.run(nodes=nodes, data=data, http=http, references=references, trust=trust)


@node_app.command("start")
def start_node(
    network: Annotated[str, typer.Option(help="The URL of the network's gateway.")],
    data: Annotated[Path, typer.Option(help="The node's folder: its key, its logs.")],
    slots: Annotated[int, typer.Option(min=1, max=256, help="Tasks to run at once, each on a core.")] = 1,
    endorsement: Annotated[
        Path | None,
        typer.Option(
            help="The network's word on this node; DATA/endorsement if left out.", exists=True, dir_okay=False
        ),
    ] = None,
) -> None:
    """Lend this machine to a network until Ctrl-C."""
    from gridlight.client.exchange import check_url

    # The process goes on as the agent, without the command line's libraries and with one heap: it is a guest here.
    command = [sys.executable, "-m", "gridlight.services.agent"]
    options = ["--network", check_url(network), "--data", str(data), "--slots", str(slots)]
    options += [] if endorsement is None else ["--endorsement", str(endorsement)]
    os.execve(sys.executable, [*command, *options], {**os.environ, "MALLOC_ARENA_MAX": "1"})  # noqa: S606 (our own)


@node_app.command("id")
def print_node_id(data: Annotated[Path, typer.Option(help="The node's folder.")]) -> None:
    """Print a node's id, and make its key where there is none: what the network's founder needs to endorse it."""
    from gridlight.services.own_nodes import id_of_node

    with explaining(ValueError):
        typer.echo(id_of_node(data))


@network_app.command("endorse")
def endorse(
    node_id: Annotated[str, typer.Argument(help="As `gridlight node id` prints it.")],
    tier: Annotated[Literal["trusted", "reference"], typer.Option("--as", help="What the node shall be.")],
    data: Annotated[Path, typer.Option(help="The network's folder, as of `gridlight up`.")],
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of printing it.")] = None,
) -> None:
    """Give the network's word that a node is one of yours; the node brings it when it joins."""
    from gridlight.services.own_nodes import CannotEndorse, endorse_node

    with explaining(CannotEndorse):
        text = endorse_node(data, node_id, tier)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(f"{text}\n", encoding="ascii")


@app.command(rich_help_panel="Started by `gridlight up`")
def coordinator(config: ConfigOption) -> None:
    """Run a network's coordinator. Internal: `gridlight up` starts it and writes its file."""
    from gridlight.adapters.configuration import load_config
    from gridlight.services.coordinator import main as service
    from gridlight.services.coordinator.config import CoordinatorConfig

    with explaining(ValueError, OSError):
        load_config(config, CoordinatorConfig)
    service.run(config_path=config)


@app.command(rich_help_panel="Started by `gridlight up`")
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


@contextmanager
def explaining(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds say themselves what to do: end with their words and no traceback."""
    try:
        yield
    except kinds as error:
        raise GridlightError(str(error), getattr(error, "hint", "")) from error


def publish(outcome: "Outcome", out: Path, console: "Console", *, as_json: bool) -> None:
    """Write both files and print what they say."""
    from gridlight.client.casestudy.printing import print_study
    from gridlight.client.casestudy.report import write_report
    from gridlight.client.casestudy.study import write_json

    json_path = write_json(outcome.study, out)
    report_path = write_report(outcome, out)
    if as_json:
        typer.echo(json_path.read_text(encoding="utf-8"), nl=False)
    else:
        from rich.console import Console

        print_study(Console(), outcome.study)
    console.print(f"wrote {report_path} and {json_path}", highlight=False, soft_wrap=True)


def interrupt_on_termination() -> None:
    """SIGTERM as Ctrl-C: what was started is stopped, and a frozen node is woken, on the way out."""
    import signal

    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
