"""Writes what is generated: schemas/, and what stands between markers in protocol.md and ARCHITECTURE.md.

Each table comes from the code that it speaks of; a test compares what stands in the files with what this would write.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from gridlight.messages import codec, limits
from gridlight.messages.api import EnrolmentResponse
from gridlight.messages.ledger import AccountCredited, TellPayouts
from gridlight.messages.manifests import Countersignature, Publication, StopOrder
from gridlight.messages.nodes import EnrolNode, OfferChanged
from gridlight.messages.operators import NodeCertificate, OperatorSuccession, PayoutStatement
from gridlight.messages.reasons import NOT_GIVEN
from gridlight.messages.tasks import Assignment
from gridlight.messages.trust import NodeEndorsement
from gridlight.services.gateway.api import Parts, create_app
from gridlight.services.gateway.errors import KINDS
from gridlight.services.gateway.why import SAID
from gridlight.workloads.contract import catalogue

ROOT: Final = Path(__file__).resolve().parent.parent
FILLED: Final = (ROOT / "docs" / "protocol.md", ROOT / "ARCHITECTURE.md")
PACKAGE: Final = ROOT / "src" / "gridlight"
SCHEMAS: Final = ROOT / "schemas"

_REGION: Final = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

_WAYS: Final[tuple[tuple[str, tuple[type, ...]], ...]] = (
    ("gateway to node", (Assignment,)),
    ("node to gateway, which checks it and passes it on to the coordinator", get_args(codec.NodeReply)),
    ("gateway or coordinator to node, on its control subject", get_args(codec.NodeControl)),
    ("node to coordinator", (OfferChanged,)),
    ("node to gateway, over HTTP", (EnrolNode,)),
    ("network's founder to gateway, inside a node's enrolment", (NodeEndorsement,)),
    ("operator to gateway, inside a node's enrolment", (NodeCertificate, OperatorSuccession)),
    ("operator to gateway over HTTP, and on to the payer", (PayoutStatement,)),
    ("publisher to gateway, and on to nodes, over HTTP", (Publication,)),
    ("network's founder to gateway, and on to nodes, over HTTP", (Countersignature, StopOrder)),
    ("gateway (grants) or payer (deposits) to coordinator", (AccountCredited,)),
    ("gateway to coordinator", get_args(codec.GatewayEvent)),
    ("coordinator to gateway", get_args(codec.GatewayEffect)),
    ("payer to coordinator", get_args(codec.PayerWord)),
    ("coordinator to payer", (TellPayouts,)),
    ("gateway to coordinator, which answers and forgets it", get_args(codec.GatewayQuestion)),
    ("coordinator to gateway, which asked", get_args(codec.CoordinatorAnswer)),
    ("coordinator's host to core", get_args(codec.Event)),
    ("core to coordinator's host", get_args(codec.Effect)),
)
"""Who says it to whom; the first row that holds a message counts."""


def generated() -> dict[Path, str]:
    """Every generated file with what it should hold."""
    files = {SCHEMAS / f"{tag(message)}.json": _pretty(_schema(message)) for message in codec.MESSAGE_TYPES}
    files[SCHEMAS / "openapi.json"] = _pretty(_openapi())
    return files | {path: _filled(path.read_text(encoding="utf-8")) for path in FILLED}


def tag(message: type[msgspec.Struct]) -> str:
    """A message's type and version as they stand on the wire."""
    return str(message.__struct_config__.tag)


def _schema(message: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(message)}


def _openapi() -> dict[str, Any]:
    """The gateway's own description. No handler is called, so the parts that they ask need not be there."""
    absent = dict.fromkeys(Parts.__struct_fields__, cast("Any", None))
    parts = Parts(**{**absent, "version": version("gridlight"), "catalogue": catalogue()})
    return create_app(parts).openapi_schema.to_schema()


def _pretty(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _filled(text: str) -> str:
    return _REGION.sub(lambda match: f"{match[1]}{_TABLES[match[2]]()}{match[3]}", text)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _messages() -> str:
    rows = [
        (
            f"`{tag(message)}`",
            f"`{message.__name__}`",
            _way(message),
            _first_paragraph(getdoc(message)),
            _fields(message),
        )
        for message in codec.MESSAGE_TYPES
    ]
    return _table(("type", "name", "who to whom", "what it says", "fields"), rows)


def _way(message: type) -> str:
    return next(way for way, messages in _WAYS if message in messages)


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


def _fields(message: type[msgspec.Struct]) -> str:
    hints = get_type_hints(message)
    return ", ".join(f"`{field.encode_name}` {_kind(hints[field.name])}" for field in _fields_of(message)) or "none"


def _fields_of(message: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(message)


def _kind(hint: Any) -> str:
    """A type in the words of JSON: what is built from a name of ours is called by it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is UnionType or NoneType in arguments:
        return " or ".join(_kind(argument) for argument in arguments if argument is not NoneType) + ", if any"
    if origin in (tuple, list):
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"{_kind(arguments[1])} by {_kind(arguments[0])}"
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    plain = {str: "text", int: "integer", float: "number", bool: "yes or no", bytes: "base64"}
    return plain.get(hint) or str(hint.__name__)


def _enrolment() -> str:
    """Drawn from the answer itself, since one that is written by hand is forgotten where a field is added."""
    hints = get_type_hints(EnrolmentResponse)
    rows = [(f"`{field.encode_name}`", _kind(hints[field.name])) for field in _fields_of(EnrolmentResponse)]
    return _table(("field", "what it is"), rows)


def _refusals() -> str:
    rows = [(f"`{code}`", str(kind.status), kind.message, kind.hint) for code, kind in KINDS.items()]
    return _table(("code", "status", "sentence", "what to do"), rows)


def _reasons() -> str:
    rows = [
        (f"`{reason}`", said.sentence, "no" if reason in NOT_GIVEN else "yes", said.advice)
        for reason, said in SAID.items()
    ]
    return _table(("reason", "meaning", "was it given the task", "what its operator can do"), rows)


def _limits() -> str:
    names = [name for name in vars(limits) if name.isupper()]
    return _table(("name", "value"), [(f"`{name}`", f"{getattr(limits, name):,}") for name in names])


def _modules() -> str:
    packages = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
    return "\n" + "".join(_package(folder) for folder in packages)


def _package(folder: Path) -> str:
    lines = [f"**`{folder.relative_to(PACKAGE.parent)}/`** {_said_by(folder / '__init__.py')}", ""]
    lines += [f"- `{path.name}` {_said_by(path)}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    return "\n".join(lines).rstrip() + "\n\n"


def _said_by(path: Path) -> str:
    return _first_paragraph(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))


_TABLES: Final[dict[str, Callable[[], str]]] = {
    "messages": _messages,
    "enrolment": _enrolment,
    "modules": _modules,
    "refusals": _refusals,
    "reasons": _reasons,
    "limits": _limits,
}


def main() -> None:
    """Write what differs, and take away schemas of messages that are no more."""
    files = generated()
    SCHEMAS.mkdir(exist_ok=True)
    for stale in set(SCHEMAS.iterdir()) - set(files):
        stale.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
