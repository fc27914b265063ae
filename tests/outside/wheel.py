"""The wheel as a volunteer gets it, in a virtual environment that holds it and what it asks for, and nothing else."""

import subprocess
import sys
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def build_wheel(folder: Path) -> Path:
    """Of this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel; its command `gridlight`.

    What the wheel asks for is linked from this environment, where it is installed already: nothing else is found, as
    after an install from a registry, and nothing is downloaded.
    """
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    [metadata] = site.glob("gridlight-*.dist-info")
    for needed in _closure(Distribution.at(metadata), {"gridlight"}):
        tops = {file.parts[0] for file in needed.files or () if file.parts[0] != ".."}
        for top in tops - {"__pycache__"}:
            target = site / top
            if not target.exists():
                target.symlink_to(Path(str(needed.locate_file(top))))
    return folder / "bin" / "gridlight"


def _closure(root: Distribution, seen: set[str]) -> list[Distribution]:
    """All that a distribution asks for without extras, and what that asks for."""
    found = []
    for text in root.requires or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name.lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            one = distribution(requirement.name)
        except PackageNotFoundError:
            raise AssertionError(f"the wheel asks for {requirement}, which is not installed here") from None
        assert requirement.specifier.contains(one.version), f"the wheel asks for {requirement}, here is {one.version}"
        found += [one, *_closure(one, seen)]
    return found
