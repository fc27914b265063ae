"""The documents say what the code does: messages, reasons, words, folders, dependencies, links."""

import re
import tomllib
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest

from gridlight.core.pools import SkipReason
from gridlight.messages.codec import MESSAGE_TYPES, ViolationReason
from gridlight.messages.jobs import JobCode
from gridlight.messages.tasks import DeclineReason, FailureCode, UndeliverableReason

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \|", re.MULTILINE)
TERM = re.compile(r"^\| \*\*(.+?)\*\* \| (.+?) \|", re.MULTILINE)


def test_what_is_generated_is_fresh(generator: ModuleType, root: Path) -> None:
    expected: dict[Path, str] = generator.generated()
    stale = [str(path.relative_to(root)) for path, text in expected.items() if read(path) != text]
    orphans = [path.name for path in (root / "schemas").iterdir() if path not in expected]
    assert not stale, f"integrators read these instead of our code; run make docs: {stale}"
    assert not orphans, f"these describe what is no more; run make docs: {orphans}"


def test_every_message_is_documented(generator: ModuleType, root: Path) -> None:
    protocol = read(root / "docs" / "protocol.md")
    missing = [message.__name__ for message in MESSAGE_TYPES if f"| `{generator.tag(message)}` |" not in protocol]
    assert not missing, f"a node in any language is written from docs/protocol.md; run make docs: {missing}"


@pytest.mark.parametrize(
    "reasons", [JobCode, DeclineReason, FailureCode, UndeliverableReason, ViolationReason, SkipReason]
)
def test_every_reason_has_its_sentence(reasons: type[Enum], root: Path) -> None:
    rows = dict(ROW.findall(section(read(root / "docs" / "protocol.md"), reasons.__name__)))
    wanted = {str(reason.value) for reason in reasons}
    assert set(rows) == wanted, f"who is refused looks the reason up; keep {reasons.__name__} in docs/protocol.md whole"
    assert all(sentence.endswith(".") for sentence in rows.values()), "a reason is told in a whole sentence"


def test_every_message_speaks_of_a_word_in_the_glossary(terms: dict[str, str]) -> None:
    words = {word for term in terms for word in (term, f"{term}s")}
    foreign = [
        message.__name__
        for message in MESSAGE_TYPES
        if not words & {part.lower() for part in re.findall("[A-Z][a-z]*", message.__name__)}
    ]
    assert not foreign, f"one word per thing, one thing per word; add the noun to docs/glossary.md: {foreign}"


def test_every_word_in_the_glossary_is_used(terms: dict[str, str], root: Path) -> None:
    code = "\n".join(read(path) for path in (root / "src").rglob("*.py")).lower()
    unbroken = re.sub(r"[\s_#]+", "", code)
    unused = [term for term in terms if term.lower().replace(" ", "") not in unbroken]
    assert terms
    assert not unused, f"a word for what is not there misleads; take it out of docs/glossary.md: {unused}"


def test_every_link_leads_somewhere(texts: dict[str, str], root: Path) -> None:
    broken = [
        f"{path}: {target}"
        for path, text in texts.items()
        if path.endswith(".md")
        for target in LINK.findall(text)
        if "://" not in target and not (root / path).parent.joinpath(target).exists()
    ]
    assert not broken, f"a reader who follows a dead link stops trusting the rest: {broken}"


def test_the_map_shows_every_folder(root: Path, texts: dict[str, str]) -> None:
    shown = section(read(root / "README.md"), "What is where")
    folders = {path.partition("/")[0] for path in texts if "/" in path}
    hidden = sorted(folder for folder in folders if f"{folder}/" not in shown)
    gone = sorted(name for name in re.findall(r"^(\S+)", shown, re.MULTILINE) if missing(root, name))
    assert not hidden, f"a newcomer looks for the place by the map in README.md; add: {hidden}"
    assert not gone, f"the map in README.md shows what is not there: {gone}"


def test_every_dependency_has_its_reason(root: Path) -> None:
    project = tomllib.loads(read(root / "pyproject.toml"))["project"]
    dependencies = [*project["dependencies"], *project["optional-dependencies"]["network"]]
    names = {re.split(r"[<>=\[; ]", line)[0] for line in dependencies}
    folder = root / "docs" / "decisions"
    told = [read(folder / "0003-dependencies.md")]
    told += [section(read(path), "New dependencies") for path in sorted(folder.iterdir())]
    reasons = {name for text in told for name, _ in ROW.findall(text)}
    assert names == reasons, "each dependency is a stranger's code; say in a decision what we would write without it"


def test_decisions_are_numbered_without_gaps(root: Path) -> None:
    files = sorted((root / "docs" / "decisions").iterdir())
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1)), "decisions are cited by number"
    shapeless = [path.name for path in files if not all(f"## {part}" in read(path) for part in DECISION_PARTS)]
    assert not shapeless, f"a decision is read for {DECISION_PARTS}: {shapeless}"


DECISION_PARTS = ("Context", "Decision", "Consequences")


@pytest.fixture(scope="module")
def terms(root: Path) -> dict[str, str]:
    """The glossary's terms and what they mean."""
    return dict(TERM.findall(read(root / "docs" / "glossary.md")))


def read(path: Path) -> str:
    """Nothing where the file is missing."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def missing(root: Path, name: str) -> bool:
    """Whether this looks like a path, and is none."""
    return bool(re.fullmatch(r"[\w./-]*[./][\w./-]*", name)) and not (root / name).exists()


def section(text: str, heading: str) -> str:
    """What stands below the heading that ends with this word, up to the next one."""
    match = re.search(rf"^#+ [^\n]*{re.escape(heading)}`?$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return "" if match is None else match[1]
