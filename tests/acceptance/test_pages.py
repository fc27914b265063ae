"""What a person opens in a browser: the case study's report and the gateway's page about its API."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from tests.acceptance.browser import Opened, opening
from tests.acceptance.stand import Network, gridlight

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("network")]

PHONE = (360, 740)
DESK = (1280, 900)
REQUESTS = 24


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, for all pages of this file."""
    with opening(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture(scope="module")
def report(network: Network, photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a short case study."""
    folder = tmp_path_factory.mktemp("report")
    file = network.folder / "network.json"
    ran = gridlight(
        "casestudy", *photos.values(), "--network", file, "--out", folder, "--requests", REQUESTS, timeout_s=120
    )
    assert ran.returncode == 0, ran.stderr
    return folder / "report.html"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_report_shows_everything_at_every_width(
    size: tuple[int, int], browser: Any, report: Path, photos: dict[str, Path]
) -> None:
    with Opened(browser, report.as_uri(), size) as page:
        pictures = page.ask("[...document.querySelectorAll('img')].map(one => [one.complete, one.naturalWidth])")
        plots = page.ask("[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().width)")
        rows = page.ask("[...document.querySelectorAll('tbody')].map(one => one.rows.length)")
        words = page.text()

        assert len(pictures) >= len(photos)
        assert all(complete and width > 100 for complete, width in pictures)
        assert len(plots) >= 2
        assert all(200 < width <= size[0] for width in plots)
        assert 7 in rows, "a row for each node"
        assert all(name in words for name in photos)
        assert "not seven homes" in words
        assert page.is_no_wider_than_its_window()
        assert page.errors == []
        assert page.requested == [report.as_uri()], "nothing is fetched from anywhere"


def test_the_report_draws_the_boxes_into_the_photo(browser: Any, report: Path, bus: Path) -> None:
    """Where a box's edges are, the picture differs from the photo; elsewhere it is the photo."""
    study = json.loads((report.parent / "casestudy.json").read_text(encoding="utf-8"))
    [boxes] = [[one["bbox"] for one in photo["detections"]] for photo in study["photos"] if photo["file"] == bus.name]
    with Opened(browser, report.as_uri(), DESK) as page:
        [source] = page.ask(
            "[...document.querySelectorAll('img')].filter(one => /bus/.test(one.alt)).map(one => one.src)"
        )

    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as shown, Image.open(bus) as photo:
        scale = shown.width / photo.width
        changed = ImageChops.difference(shown.convert("RGB"), photo.convert("RGB").resize(shown.size)).convert("L")
    edges = [changed.crop(edge) for box in boxes for edge in upright_edges([round(at * scale) for at in box])]

    assert len(edges) >= 2
    assert ImageStat.Stat(changed).mean[0] < 20
    assert [index for index, edge in enumerate(edges) if ImageStat.Stat(edge).mean[0] < 30] == []


def upright_edges(box: list[int]) -> list[tuple[int, int, int, int]]:
    """The left and the right edge of a box: its middle part, two pixels wide, without the corners and the label."""
    left, top, right, bottom = box
    upper, lower = top + (bottom - top) // 3, bottom - (bottom - top) // 3
    return [(left, upper, left + 2, lower), (right - 2, upper, right, lower)]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_page_about_the_api_works_without_the_internet(
    size: tuple[int, int], browser: Any, network: Network
) -> None:
    with Opened(browser, f"{network.url}/schema", size) as page:
        words = page.text()

        assert "/v1/detect" in words
        assert "deadline_ms" in words
        assert page.is_no_wider_than_its_window()
        assert page.errors == []
        assert [url for url in page.requested if not url.startswith(network.url)] == []
        page.click("text=openapi.json")
        assert '"openapi"' in page.text()
