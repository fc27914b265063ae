"""Which files the first-party runtime needs inside of a sandbox: interpreter, libraries and packages, and no more."""

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from gridlight.adapters.sandbox.port import EngineUnavailable

WORKER: Final = "gridlight.workloads.worker"

_ASK_S: Final = 20.0
_SYSTEM_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")

_ASK: Final = """
import json, os, sys, sysconfig
folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY")
print(json.dumps([
    *sys.path, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"),
    sys.executable, os.path.realpath(sys.executable), os.path.join(sys.prefix, "pyvenv.cfg"),
    *([os.path.join(folder, name)] if folder and name else []),
]))
"""
"""Asked of an isolated interpreter: the one that asks may have folders on its path that are nobody else's business."""


def command(arguments: Iterable[str]) -> list[str]:
    """The first-party worker's, by this interpreter."""
    return [sys.executable, "-I", "-m", WORKER, *arguments]


@cache
def first_party_files() -> tuple[Path, ...]:
    """What a worker of this interpreter's reads, each to be put into a sandbox under its own path, read-only."""
    asked = [sys.executable, "-I", "-c", _ASK]
    try:
        done = subprocess.run(asked, capture_output=True, timeout=_ASK_S, check=True)  # noqa: S603 (our interpreter)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineUnavailable(f"{sys.executable} does not say where its files are: {error}") from error
    return outermost(path for path in map(Path, (*json.loads(done.stdout), *_SYSTEM_LIBRARIES)) if path.exists())


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Sorted, without those that lie inside of another one."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(one) for one in kept):
            kept.append(path)
    return tuple(kept)
