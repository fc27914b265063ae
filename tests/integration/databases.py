"""Databases for tests: SQLite, and a real PostgreSQL where the machine has its programs.

PostgreSQL refuses to run as root, so another user does.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from gridlight.adapters.bus_server import free_port

KINDS = ("sqlite", "postgresql")
NewDatabase = Callable[[], str]
"""Makes one more empty database and says its URL."""


@contextmanager
def new_databases(kind: str, folder: Path) -> Iterator[NewDatabase]:
    """As many databases of a kind as are asked for, on one server."""
    numbers = count()
    if kind == "sqlite":
        yield lambda: f"sqlite:///{folder / str(next(numbers))}.db"
        return
    with postgresql(folder) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")

        def create() -> str:
            name = f"network{next(numbers)}"
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            return url.removesuffix("postgres") + name

        yield create
        engine.dispose()


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[0].parent


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A server of its own on a free port; yields its URL."""
    programs = _postgres_programs()
    user = None
    if os.getuid() == 0:
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
        # The folders above are root's own; the server's must be reachable for its user.
        folder = Path("/var/tmp") / f"gridlight-postgresql-{os.getpid()}"
        folder.mkdir(mode=0o700)
        shutil.chown(folder, user)
    data, port = folder / "data", free_port("127.0.0.1")

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=user, cwd="/", capture_output=True, timeout=60)

    try:
        run(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
        run(str(programs / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        if user is not None:
            shutil.rmtree(folder)
