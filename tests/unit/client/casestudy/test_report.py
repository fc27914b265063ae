"""The page: whole in itself, safe with strange names, and honest."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from gridlight.client.casestudy.poster import save_poster
from gridlight.client.casestudy.report import render_report, write_report
from gridlight.client.errors import BadInput

LINKING = {"src", "href", "xlink:href", "action", "srcset"}
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what the tests look at; raises where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "srcset")
        ]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("is_disturbed", [False, True])
def test_the_page_needs_nothing_from_outside(make_outcome: Any, is_disturbed: bool) -> None:
    text = render_report(make_outcome(is_disturbed=is_disturbed))

    page = Page(text)
    assert page.links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in page.links)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert page.tags.isdisjoint({"script", "link", "iframe", "object"})


def test_every_id_is_there_once_and_every_reference_leads_to_one(make_outcome: Any) -> None:
    text = render_report(make_outcome(is_disturbed=True))

    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    targets = [link[1:] for link in page.links if link.startswith("#")] + re.findall(r"url\(#([^)]+)\)", text)
    assert set(targets) <= set(page.ids)


def test_it_says_plainly_what_it_is_not(make_outcome: Any) -> None:
    assert "Seven processes on one machine are not seven homes." in Page(render_report(make_outcome())).text


def test_who_cannot_see_a_photo_reads_what_is_in_it(make_outcome: Any) -> None:
    page = Page(render_report(make_outcome()))

    (image,) = page.images
    assert image["alt"] == "bus.jpg with a box around each thing found: bus 0.82, person 0.99"
    assert (image["width"], image["height"]) == ("320", "200")


def test_plots_take_their_colours_from_the_page(make_outcome: Any) -> None:
    text = render_report(make_outcome(is_disturbed=True))

    assert "var(--ack)" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]\b", text)


def test_names_are_escaped(make_outcome: Any) -> None:
    text = render_report(make_outcome(file="<script>alert(1)</script>.jpg"))

    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "A processor &lt;of some kind&gt;" in text


def test_a_disturbed_run_tells_what_was_done_and_what_broke(make_outcome: Any) -> None:
    text = Page(render_report(make_outcome(is_disturbed=True))).text

    assert "was killed at 700 ms and served again 2,500 ms after the kill" in text
    assert "was frozen at 700 ms and did not serve again in the time allowed" in text
    assert "DEADLINE_EXCEEDED" in text
    assert "✗ not held" in text
    assert "5 of 6 claims that were tested held" in text


def test_nothing_measured_is_shown_as_absent_not_as_zero(make_outcome: Any) -> None:
    outcome = make_outcome()
    study = msgspec.structs.replace(
        outcome.study,
        nodes=[msgspec.structs.replace(outcome.study.nodes[0], answered=0, ack_ms=None, result_ms=None)],
        requests=msgspec.structs.replace(outcome.study.requests, sent=0, answered=0, latency_ms=None),
        photos=[msgspec.structs.replace(outcome.study.photos[0], detections=[], nodes_answered=0, image=None)],
    )

    text = Page(render_report(msgspec.structs.replace(outcome, study=study, observations=[]))).text

    assert "No node answered." in text
    assert "nothing found" in text
    assert "– slowest acknowledgement" in text


def test_the_report_is_written_where_it_is_wanted(make_outcome: Any, tmp_path: Path) -> None:
    path = write_report(make_outcome(), tmp_path / "new" / "folder")

    assert path == tmp_path / "new" / "folder" / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_poster_is_one_picture(make_outcome: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "poster.png"

    save_poster(make_outcome(is_disturbed=True), path)

    with Image.open(path) as poster:
        assert poster.width > 1000
        assert poster.format == "PNG"


def test_a_poster_in_no_known_format_is_refused(make_outcome: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write"):
        save_poster(make_outcome(), tmp_path / "poster.nothing")
