"""A service's configuration: one Struct from one TOML file; a wrong value or unknown key is named, never ignored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class BadConfiguration(ValueError):
    """The file is not there, or says what this service does not understand."""


def load_config(path: Path, kind: type[T], *, defaults: Mapping[str, Any] | None = None) -> T:
    """Read the file as a `kind`; BadConfiguration says which key is wrong, or that there is no file.

    `defaults` are what the file may leave out here, beside what the kind itself has defaults for.
    """
    try:
        said = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
        return msgspec.convert({**(defaults or {}), **said}, kind, dec_hook=_to_path)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: {error}") from error
    except OSError as error:
        raise BadConfiguration(f"the configuration {path} cannot be read: {error.strerror}") from error


def _to_path(kind: type, value: Any) -> Any:
    assert kind is Path, f"no configuration has a {kind.__name__}"
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return Path(value)
