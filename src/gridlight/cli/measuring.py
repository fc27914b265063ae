"""The words that measure: `gridlight casestudy`, `demo` and `simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.ending import interrupt_on_termination
from gridlight.cli.options import EngineOption, JsonOption
from gridlight.cli.serving import set_up
from gridlight.client.errors import GridlightError

if TYPE_CHECKING:
    from rich.console import Console

    from gridlight.client.casestudy.study import Outcome


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


def demo(
    out: Annotated[Path, typer.Option(help="The folder for casestudy.json and report.html.")] = Path("build/demo"),
    nodes: Annotated[int, typer.Option(min=1, max=50, help="How many nodes to start.")] = 7,
    requests: Annotated[int, typer.Option(min=0, max=100_000, help="Ordinary requests.")] = 200,
    kill: Annotated[bool, typer.Option("--kill", help="Kill one node and freeze another midway.")] = False,
    engine: EngineOption = "subprocess",
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
        with LocalNetwork(Path(folder), nodes=nodes, progress=progress, engine=engine) as started:
            plan = Plan(photos=tuple(photos), network=started.network_path, requests=requests, concurrency=8, kill=kill)
            outcome = run_case_study(plan, progress)
    publish(outcome, out, console, as_json=as_json)


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
