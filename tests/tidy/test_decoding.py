"""One decoder: what others sent becomes a type in messages.codec alone, with its limits and counted reasons."""

import ast

LIBRARIES = {"msgspec", "json", "tomllib", "pickle", "marshal", "shelve", "yaml"}
VERBS = {"decode", "Decoder", "load", "loads", "convert"}

DECODER = "src/gridlight/messages/codec.py"
EXCEPTIONS = {
    "src/gridlight/adapters/books.py": "rows that our own coordinator wrote; an audit says which cannot be read",
    "src/gridlight/adapters/ledger_lines.py": "rows that our own coordinator wrote",
    "src/gridlight/adapters/migrations/versions/0007_ledger_lines.py": "rows that our own coordinator wrote",
    "src/gridlight/adapters/configuration.py": "the operator's own files",
    "src/gridlight/adapters/sandbox/runtime.py": "what our own interpreter says of itself",
    "src/gridlight/adapters/sandbox/seccomp.py": "a table that comes with this package",
    "src/gridlight/adapters/payout_store.py": "rows that our own payer wrote",
    "src/gridlight/adapters/store.py": "rows that our own coordinator wrote",
    "src/gridlight/adapters/stored_books.py": "rows that our own payer wrote",
    "src/gridlight/client/kit/example_run.py": "a program to copy, which needs nothing of ours",
    "src/gridlight/core/coordinator.py": "a snapshot that this core wrote",
    "src/gridlight/messages/trust.py": "the operator's own table",
    "src/gridlight/services/agent/gateway_api.py": "answers of the gateway that its operator chose, of bounded length",
    "src/gridlight/simulation/scenario.py": "files of whoever runs the simulator",
    "src/gridlight/workloads/contract.py": "manifests that come with this package",
    "src/gridlight/workloads/detection/convert.py": "a file whose digest was checked",
}
"""Files that decode by themselves, each with the reason why what it reads is no stranger's."""


def test_what_others_sent_is_decoded_in_one_place(sources: dict[str, ast.Module]) -> None:
    decoding = {path for path, tree in sources.items() if decodes(tree)}
    strays = sorted(decoding - {DECODER, *EXCEPTIONS})
    assert DECODER in decoding
    assert not strays, f"limits and refusals stand in messages.codec; use a Decoder of it: {strays}"


def test_no_exception_outlives_its_reason(sources: dict[str, ast.Module]) -> None:
    stale = sorted(path for path in EXCEPTIONS if path not in sources or not decodes(sources[path]))
    assert not stale, f"these decode nothing by themselves any more; take them off the list: {stale}"


def decodes(tree: ast.Module) -> bool:
    """Whether it names a decoding function of a library that has one."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in VERBS and first_name(node) in LIBRARIES
        for node in ast.walk(tree)
    )


def first_name(node: ast.expr) -> str:
    """`msgspec` of `msgspec.json.decode`; nothing where it is no name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
