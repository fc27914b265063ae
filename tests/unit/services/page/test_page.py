"""The local page: who is shown it, and what is on it. In a browser: tests/acceptance/test_node_page.py."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.services.agent.test_control import STATUS

from gridlight.messages.control import DoneSoFar, NodeHistory, PauseReason, Sample, Stance
from gridlight.services.page.main import HEADERS, Page
from gridlight.services.page.plot import plot
from gridlight.services.page.view import running_page

LAYERS: dict[str, dict[str, Any]] = {"defaults": {"run_on_batteries": False}, "host": {}, "effect": {}}
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Of a folder with which no agent runs."""
    with Page(tmp_path, lambda _: LAYERS) as served:
        serving = threading.Thread(target=served.serve_forever, args=(0.01,))
        serving.start()
        yield served
        served.shutdown()
        serving.join()


def visit(page: Page, path: str | None = None, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    """As a browser on this machine would; the page itself where no path is named."""
    connection = HTTPConnection("127.0.0.1", page.server_port, timeout=5)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/{page.token}/" if path is None else path, headers=named)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def test_without_an_agent_it_says_so_and_what_to_do(page: Page) -> None:
    response, text = visit(page)

    assert response.status == 200
    assert "no agent runs with the folder" in text
    assert "gridlight node start" in text


def test_nothing_of_it_may_be_kept_framed_or_loaded_from_elsewhere(page: Page) -> None:
    for path in (None, "/"):
        response, _ = visit(page, path)
        assert {name: response.getheader(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("path", ["/", "/wrong/", "", "/{token}", "/{token}x/", "/{token}/other", "*"])
def test_without_the_token_nothing_is_shown(page: Page, path: str) -> None:
    response, text = visit(page, path.format(token=page.token))

    assert (response.status, text) == (403, "")


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "localhost"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": ""}]
)
def test_a_name_that_was_made_to_point_here_or_another_site_sees_nothing(page: Page, headers: dict[str, str]) -> None:
    response, text = visit(page, **headers)

    assert (response.status, text) == (403, "")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_sites_form_does_nothing(page: Page, origin: str) -> None:
    response, _ = visit(page, f"/{page.token}/pause", "POST", Origin=origin)

    assert response.status == 403


def test_a_button_asks_the_agent(page: Page) -> None:
    response, text = visit(page, f"/{page.token}/pause", "POST", Origin=page.origin)

    assert response.status == 503
    assert "no agent runs" in text
    assert visit(page, f"/{page.token}/sell", "POST", Origin=page.origin)[0].status == 403


def test_each_page_has_a_token_of_its_own(page: Page, tmp_path: Path) -> None:
    with Page(tmp_path, lambda _: LAYERS) as other:
        assert other.token != page.token
    assert len(page.token) >= 32


# What is on it


def test_it_shows_what_the_agent_says_and_nothing_of_it_as_markup() -> None:
    status = replace(
        STATUS,
        line="running: <b>idle</b>",
        stance=Stance.LENDING,
        reason=None,
        done=DoneSoFar(taken=3, finished=1_234, handed_back=2),
        preferences_error="there is no preference `<script>`",
    )
    layers = {**LAYERS, "host": {"run_on_batteries": True}, "effect": {"run_on_batteries": True}}

    text = running_page(status, NodeHistory(samples=()), layers, NOW)

    assert "running: &lt;b&gt;idle&lt;/b&gt;" in text
    assert "<script>" not in text
    assert "1,234" in text
    assert "<tr class=own><td>run_on_batteries<td>false<td>true<td>true" in text


def test_the_plot_has_a_bar_where_tasks_were_finished_and_tells_why_it_was_not_lent() -> None:
    samples = (
        Sample(1_000, 0, 0),
        Sample(1_060, 30, 0),
        Sample(1_120, 30, 0, PauseReason.USER_ACTIVE),
        Sample(1_180, 30, 0),
    )

    drawn = plot(samples)

    assert drawn.count('class="bar"') == 1
    assert [drawn.count(f'class="{kind}"') for kind in ("lent", "kept")] == [2, 1]
    assert "<title>user active</title>" in drawn
    assert "at most 40" in drawn


@pytest.mark.parametrize("samples", [(Sample(1_000, 0, 0),), (Sample(1_000, 9, 0), Sample(1_000, 3, 0))])
def test_a_plot_of_a_moment_can_be_drawn(samples: tuple[Sample, ...]) -> None:
    assert plot(samples).startswith("<svg")
