"""A node's local page in a real browser."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.browser import Opened, opening
from tests.acceptance.stand import GRIDLIGHT, Network, until

from gridlight.messages.control import AskResume, AskStatus, NodeStatus
from gridlight.services.agent.control import ask

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("network")]

PHONE = (360, 740)
DESK = (1280, 900)
BOUND_S = 20.0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opening(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture(scope="module")
def folder(network: Network) -> Path:
    """One of the network's nodes."""
    [data, *_] = [one.data for one in network.read().processes if one.data]
    return Path(data)


@pytest.fixture(scope="module")
def url(network: Network, bus: Path, folder: Path) -> Iterator[str]:
    """Its page, as a person has it served."""
    assert network.answers(bus)
    words = [GRIDLIGHT, "node", "page", "--data", str(folder), "--json"]
    served = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert served.stdout is not None
    yield json.loads(served.stdout.readline())["url"]
    served.terminate()
    served.wait()
    served.stdout.close()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_can_be_read_at_every_width_and_fetches_nothing_from_elsewhere(
    size: tuple[int, int], browser: Any, url: str
) -> None:
    with Opened(browser, url, size) as page:
        words = page.text()
        plots = page.ask("[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().width)")
        sizes = page.ask("[...document.querySelectorAll('button')].map(one => one.getBoundingClientRect().height)")

        assert "running: " in words
        assert "idle_time_to_run" in words
        assert "What it sees" in words
        assert all(200 < width <= size[0] for width in plots)
        assert len(plots) == 1
        assert min(sizes) >= 44, "a finger is wide"
        assert page.is_no_wider_than_its_window()
        assert page.errors == []
        assert page.requested == [url]


def test_it_is_dark_where_a_person_likes_it_dark(browser: Any, url: str) -> None:
    with Opened(browser, url, PHONE) as page:
        colours = "[document.body, document.querySelector('h1')].map(one => getComputedStyle(one))"
        seen = [page.ask(f"{colours}.map(one => one.backgroundColor + one.color)")]
        page.prefer_dark()
        seen.append(page.ask(f"{colours}.map(one => one.backgroundColor + one.color)"))

        assert all(light != dark for light, dark in zip(*seen, strict=True))


def test_its_buttons_pause_and_resume_the_node(browser: Any, url: str, folder: Path) -> None:
    try:
        with Opened(browser, url, PHONE) as page:
            page.click("button:text-is('Pause for an hour')")
            assert "paused: by your word" in page.text()
            assert page.errors == []
            page.click("button:text-is('Resume')")
            assert "running: " in page.text()
    finally:
        ask(folder, AskResume())

    def is_up() -> bool:
        status = ask(folder, AskStatus())
        return isinstance(status, NodeStatus) and status.workers == 1

    until(is_up, BOUND_S, "its worker to be back")


def test_another_page_cannot_use_it_even_with_its_address(browser: Any, url: str, folder: Path, tmp_path: Path) -> None:
    form = f"<form method=post action='{url}pause'><button>Win a prize</button></form>"
    (tmp_path / "prize.html").write_text(f"<!doctype html><title>prize</title>{form}", encoding="utf-8")
    with Opened(browser, (tmp_path / "prize.html").as_uri(), DESK) as page:
        seen = page.ask(f"fetch('{url}').then(one => one.text()).catch(error => 'refused: ' + error)")
        page.click("text=Win a prize")

    status = ask(folder, AskStatus())
    assert seen.startswith("refused: ")
    assert isinstance(status, NodeStatus)
    assert status.reason is None
