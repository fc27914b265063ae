"""What the rules look at: the tree's own files, and their syntax."""

import ast
import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUR_FOLDERS = (".ci", "benchmarks", "deploy", "docs", "scenarios", "schemas", "src", "tests")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def sources() -> dict[str, ast.Module]:
    """Syntax of everything under src/, by path from the root."""
    return parsed("src")


@pytest.fixture(scope="session")
def python_files(sources: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """Syntax of every Python file that we keep, by path from the root."""
    return sources | parsed("tests") | parsed("benchmarks") | parsed("docs")


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Every tracked text file by path from the root."""
    return {path: text for path in tracked() if (text := text_of(ROOT / path)) is not None}


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    """docs/generate.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(folder: str) -> dict[str, ast.Module]:
    """Syntax by path from the root, in the order of names."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def tracked() -> list[str]:
    """What git tracks; in an archive without git, what lies in our folders and beside them."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]
    inside = [path for folder in OUR_FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    beside = [path for path in ROOT.iterdir() if path.is_file()]
    return sorted(str(path.relative_to(ROOT)) for path in inside + beside if "__pycache__" not in path.parts)


def text_of(path: Path) -> str | None:
    """None where it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
