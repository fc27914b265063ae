"""The backends as tests use them: opened where they are installed, skipped loudly where not; a third party's image."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from gridlight.adapters.sandbox.bubblewrap import Bubblewrap
from gridlight.adapters.sandbox.podman import Podman
from gridlight.adapters.sandbox.port import Sandbox
from gridlight.messages.frames import FrameHeader, encode_prefix_and_header

CONFINING = ("podman", "bubblewrap")
OWNER, OTHER = f"tests{os.getpid()}", f"other{os.getpid()}"
"""Of this run alone: what carries an owner's name is swept by it."""
READY_S = 30.0

_PROGRAMS = ("/bin/sh", "/bin/cat", "/bin/sleep", "/usr/bin/head", "/usr/bin/yes")
_NEEDS = {"podman": ("podman", "runc"), "bubblewrap": ("bwrap",)}


def require(engine: str) -> None:
    """Skip, and say why, where the backend cannot put up all of its walls."""
    missing = [program for program in _NEEDS[engine] if shutil.which(program) is None]
    if missing:
        pytest.skip(f"!!! NOT TESTED: {engine} needs {', '.join(missing)}; run .ci/packages as root")
    if os.geteuid() != 0:
        pytest.skip(f"!!! NOT TESTED: only root can make control groups for {engine} everywhere; run the tests as root")


@asynccontextmanager
async def opened(engine: str, folder: Path, owner: str = OWNER) -> AsyncIterator[Sandbox]:
    """The backend, with nothing of it left afterwards."""
    require(engine)
    sandbox: Sandbox = await (Podman if engine == "podman" else Bubblewrap).opened(owner, folder)
    try:
        yield sandbox
    finally:
        await sandbox.close()


@contextmanager
def image(engine: str, folder: Path) -> Iterator[str]:
    """A third party's image with a shell in it: a folder for bubblewrap, a reference that podman holds already."""
    root = folder / "image"
    for name in ("tmp", "proc", "dev", "etc"):
        (root / name).mkdir(parents=True)
    for program in _PROGRAMS:
        needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in [program, *re.findall(r"(/\S+)", needed)]:
            copy = root / path.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(path), copy)
    if engine == "bubblewrap":
        yield str(root)
        return
    reference = f"localhost/gridlight-test-{os.getpid()}"
    archive = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout
    subprocess.run(["podman", "import", "-", reference], input=archive, capture_output=True, check=True)
    try:
        yield reference
    finally:
        subprocess.run(["podman", "rmi", "--force", reference], capture_output=True, check=True)


def said_in_shell(header: FrameHeader) -> str:
    """A frame without a body, as a third party's shell script says it."""
    frame = "".join(f"\\{byte:03o}" for byte in encode_prefix_and_header(header, 0))
    return f"printf '{frame}' >&3;"


async def containers(owner: str = OWNER) -> list[str]:
    """Names of this owner's, running or not."""
    words = ["podman", "ps", "--all", "--format", "{{.Names}}", "--filter", f"label=gridlight.agent={owner}"]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode().split()


def control_groups(owner: str = OWNER) -> list[Path]:
    """Of bubblewrap's workers, in any tree."""
    return [path for path in Path("/sys/fs/cgroup").glob(f"**/gridlight-{owner}-*") if path.is_dir()]
