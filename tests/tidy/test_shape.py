"""The shape of files: how long, how named, what they may hold."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400
FOLDERS_BANNED = {"utils", "common", "helpers", "base", "models", "manager"}
WORDS_BANNED = {"Manager", "Helper", "Util", "Utils", "Base", "Info", "Data", "Impl"}

Trees = dict[str, ast.Module]


def test_a_function_fits_a_screen(python_files: Trees) -> None:
    long = [
        f"{path}:{function.lineno} {function.name} has {lines} lines"
        for path, tree in python_files.items()
        for function in functions(tree)
        if (lines := length(function)) > FUNCTION_LINES_MAX
    ]
    assert not long, f"past {FUNCTION_LINES_MAX} lines a function holds two ideas; find the second one a name: {long}"


def test_a_file_is_read_at_a_sitting(root: Path, python_files: Trees) -> None:
    long = [
        f"{path} has {lines} lines"
        for path in python_files
        if (lines := len((root / path).read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    ]
    assert not long, f"past {FILE_LINES_MAX} lines a file has a missing idea in it; split it by subject: {long}"


def test_no_folder_or_module_is_named_for_nothing(python_files: Trees) -> None:
    vague = [path for path in python_files if FOLDERS_BANNED & {Path(part).stem for part in Path(path).parts}]
    assert not vague, f"such a name takes in anything, and so tells nothing; name it for its subject: {vague}"


def test_no_class_is_named_for_nothing(python_files: Trees) -> None:
    vague = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in python_files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and WORDS_BANNED & set(camel_words(node.name))
    ]
    assert not vague, f"{sorted(WORDS_BANNED)} fit every class; say what this one is: {vague}"


def test_a_package_file_holds_its_docstring_and_no_more(sources: Trees) -> None:
    files = {path: tree for path, tree in sources.items() if path.endswith("__init__.py")}
    wrong = [path for path, tree in files.items() if ast.get_docstring(tree) is None or len(tree.body) != 1]
    assert files
    assert not wrong, f"what a package runs on import is found by nobody; only say what belongs into it: {wrong}"


def test_every_module_says_what_it_decides(sources: Trees) -> None:
    silent = [path for path, tree in sources.items() if ast.get_docstring(tree) is None]
    assert not silent, f"a reader must see from the first line whether to read on; add a docstring: {silent}"


def test_nothing_is_left_for_later(texts: dict[str, str]) -> None:
    marks = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    left = [
        f"{path}:{number}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if marks.search(line)
    ]
    assert not left, f"a note to oneself is read by nobody; do it, or open an issue: {left}"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those inside of classes and of functions, too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line, decorators left out."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def camel_words(name: str) -> list[str]:
    """`TaskTable` as `Task`, `Table`."""
    return re.findall(r"[A-Z][a-z0-9]*", name)
