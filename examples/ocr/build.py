"""Makes root/, the file system of this workload's image: a Python of Debian, pinned packages, and serve.py.

    python3.11 build.py

Needs Python 3.11 with pip, `apt-get` on Debian 12 (amd64) and `dpkg-deb`; no Docker, no daemon, and no root's rights.
The wheels are checked against requirements.txt; Debian's packages are those of today's release, checked by apt's
signatures, so a later build can have another digest: `gridlight workload build` says which.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE / "root"

DEBIAN = (
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "libbz2-1.0",
    "liblzma5",
    "libexpat1",
    "libffi8",
    "libssl3",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3.11-minimal",
)
"""What CPython and the wheels are linked with; their unpacked files are all that a process needs."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64")
UNUSED = ("usr/share", "var", "etc", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/x86_64-linux-gnu/perl-base")
"""Documents, settings and conversions of character sets that no run reads."""


def run(*words: str, cwd: Path | None = None) -> None:
    """A tool; its own words say what is wrong."""
    subprocess.run(words, cwd=cwd, check=True, stdout=sys.stderr)  # noqa: S603  (this script's own words)


def unpack_debian() -> None:
    """The interpreter and the libraries it is linked with."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run("apt-get", "download", "-q", *DEBIAN, cwd=Path(folder))
        for package in sorted(Path(folder).glob("*.deb")):
            run("dpkg-deb", "--extract", str(package), str(ROOT))
    for name in UNUSED:
        shutil.rmtree(ROOT / name, ignore_errors=True)


def install_packages() -> None:
    """The wheels by their hashes, nothing else, and without what only builds and tests need."""
    packages = ROOT / "app" / "packages"
    platforms = [word for one in PLATFORMS for word in ("--platform", one)]
    pinned = [
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--requirement",
        str(HERE / "requirements.txt"),
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--python-version", "3.11"]
    run(*pip, *platforms, *pinned, "--target", str(packages))
    for folder in [*packages.rglob("tests"), packages / "bin"]:
        shutil.rmtree(folder, ignore_errors=True)


def compile_all() -> None:
    """A root that is never written to keeps no byte code by itself. Without times in it, so that builds are alike."""
    for folder in (ROOT / "usr/lib/python3.11", ROOT / "app"):
        shown = "/" + str(folder.relative_to(ROOT))
        words = ["-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash", "-d", shown]
        run(sys.executable, *words, str(folder))


def main() -> None:
    """From nothing each time."""
    if sys.version_info[:2] != (3, 11):
        raise SystemExit("the byte code has to be that of the image's interpreter: run this with Python 3.11")
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    unpack_debian()
    install_packages()
    shutil.copyfile(HERE / "serve.py", ROOT / "app" / "serve.py")
    compile_all()


if __name__ == "__main__":
    main()
