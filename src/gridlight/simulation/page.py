"""Writes a run's report as one page of HTML that needs nothing else: the plots are inside it."""

from pathlib import Path
from typing import Final

from gridlight.simulation.incentives import said
from gridlight.simulation.report import Report

PAGE_FILE: Final = "report.html"
TEMPLATE_FILE: Final = "report.html.jinja"


def write_page(report: Report, folder: Path) -> Path:
    """`report.html` in the folder. ImportError where the extra `report` is not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE_FILE
    path.write_text(render_page(report), encoding="utf-8")
    return path


def render_page(report: Report) -> str:
    """The page's text."""
    import jinja2
    import markupsafe

    from gridlight.simulation.plots import (
        plot_latency,
        plot_nodes,
        plot_outcomes,
        plot_replication,
        plot_tiers,
        plot_waits,
        plot_wrong,
    )

    plots = {
        "waits": plot_waits(report),
        "latency": plot_latency(report),
        "outcomes": plot_outcomes(report),
        "nodes": plot_nodes(report),
        "wrong": plot_wrong(report),
        "replication": plot_replication(report),
        "tiers": plot_tiers(report),
    }
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(TEMPLATE_FILE).render(
        report=report,
        headline=headline(report),
        earned="" if report.incentives is None else said(report.incentives),
        plots={name: markupsafe.Markup(svg) for name, svg in plots.items()},  # noqa: S704 our own, drawn a moment ago
    )


def headline(report: Report) -> str:
    """How many of its targets this run met."""
    met = sum(one.is_met for one in report.targets)
    if met == len(report.targets):
        return f"All {met} targets met by {report.scenario}"
    return f"{len(report.targets) - met} of {len(report.targets)} targets missed by {report.scenario}"
