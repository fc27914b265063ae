"""The API's own description: bodies that Litestar cannot infer, and a page without scripts that works offline."""

from dataclasses import dataclass
from html import escape
from typing import Any, Final

from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from gridlight.messages.api import ErrorResponse, Privacy
from gridlight.messages.trust import Assurance

_BINARY: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
_TEXT: Final = Schema(type=OpenAPIType.STRING)
_WHOLE: Final = Schema(type=OpenAPIType.INTEGER)
_NUMBER: Final = Schema(type=OpenAPIType.NUMBER)
_BESIDE: Final = {
    "model": _TEXT,
    "deadline_ms": _WHOLE,
    "threshold": _NUMBER,
    "verify": Schema(type=OpenAPIType.STRING, enum=[str(one) for one in Assurance]),
    "dry_run": Schema(type=OpenAPIType.BOOLEAN),
    "privacy": Schema(type=OpenAPIType.STRING, enum=[str(one) for one in Privacy]),
}

_STYLE: Final = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
overflow-wrap:anywhere}
code,pre{font-family:ui-monospace,monospace;background:#f3f3f3;padding:.1em .3em}
section{border-top:1px solid #ccc;padding:.5rem 0}b{display:inline-block;min-width:4rem}
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}code,pre{background:#222}}"""


@dataclass
class DetectOperation(Operation):
    """A picture may come in three shapes."""

    def __post_init__(self) -> None:
        self.request_body = _picture_body(_BESIDE)


@dataclass
class RunOperation(Operation):
    """As for a detection; the address names the workload."""

    def __post_init__(self) -> None:
        self.request_body = _picture_body({name: kind for name, kind in _BESIDE.items() if name != "model"})


@dataclass
class EnrolOperation(Operation):
    """The body is signed as it stands, so it is read as bytes."""

    def __post_init__(self) -> None:
        names = ("type", "node_id", "operator", "nonce", "agent_version")
        fields: dict[str, Schema | Reference] = {**dict.fromkeys(names, _TEXT), "cpus": _WHOLE, "memory_mib": _WHOLE}
        schema = Schema(type=OpenAPIType.OBJECT, properties=fields, required=list(fields))
        self.request_body = RequestBody(
            required=True,
            description="An EnrolNode message. `Gridlight-Signature` carries base64 of the node key's signature over "
            "`gridlight.node.enrolment.v1`, a zero byte, and these very bytes.",
            content={"application/json": OpenAPIMediaType(schema=schema)},
        )


class OfflinePage(OpenAPIRenderPlugin):
    """Every operation as plain HTML."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """One section an operation; the document itself is linked."""
        info = openapi_schema["info"]
        sections = [
            _section(method, path, operation)
            for path, item in openapi_schema["paths"].items()
            for method, operation in item.items()
        ]
        title = escape(f"{info['title']} {info['version']}")
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{title}</title><link rel=icon href='data:,'><style>{_STYLE}</style>"
            f"<h1>{title}</h1><p>{escape(info['description'])}</p>"
            f"<p>For programs: <a href='{escape(self.get_openapi_json_route(request))}'>openapi.json</a></p>"
        )
        return (page + "".join(sections) + "</html>").encode()


def _picture_body(beside: dict[str, Schema]) -> RequestBody:
    """In three shapes, with what may stand beside it."""
    picture = OpenAPIMediaType(schema=_BINARY)
    image = Schema(type=OpenAPIType.OBJECT, properties={"b64": _TEXT}, required=["b64"])
    names = [f"`{name}`" for name in beside]

    def fields(image: Schema) -> OpenAPIMediaType:
        properties: dict[str, Schema | Reference] = {"image": image, **beside}
        return OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT, properties=properties, required=["image"]))

    return RequestBody(
        required=True,
        description="The picture: JPEG, PNG or WebP, at most 8 MiB and 40 megapixels. As the body itself, "
        f"{', '.join(names[:-1])} and {names[-1]} go into the query.",
        content={
            **dict.fromkeys(("image/jpeg", "image/png", "image/webp"), picture),
            "multipart/form-data": fields(_BINARY),
            "application/json": fields(image),
        },
    )


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """The same body for every refusal."""
    return {
        status: ResponseSpec(
            data_container=ErrorResponse, description="Refused; the code says why", generate_examples=False
        )
        for status in statuses
    }


def openapi_config(version: str) -> OpenAPIConfig:
    """Served at /schema and /schema/openapi.json."""
    return OpenAPIConfig(
        title="Gridlight gateway",
        version=version,
        description="Detection by an open network of volunteers' computers. Every refusal is "
        '{"error": {"code", "message", "hint", "request_id"}, "rc"}.',
        path="/schema",
        render_plugins=[OfflinePage(path="/"), JsonRenderPlugin()],
        use_handler_docstrings=True,
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {})
    kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in body.get("content", {}))
    takes = f"<p>Body: {kinds}. {escape(body.get('description', ''))}</p>" if kinds else ""
    parameters = "".join(
        f"<li><code>{escape(one['name'])}</code> ({escape(one['in'])}) {escape(one.get('description', ''))}</li>"
        for one in operation.get("parameters", [])
    )
    statuses = ", ".join(escape(status) for status in operation.get("responses", {}))
    return (
        f"<section><h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description', ''))}</p>{takes}<ul>{parameters}</ul>"
        f"<p>Answers: {statuses}</p></section>"
    )
