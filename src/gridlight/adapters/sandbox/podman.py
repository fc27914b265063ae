"""Workers in containers by podman: the first-party runtime in an empty root, or a third party's.

A container outlives the command that starts it, so each has a name and its agent's label; what an earlier life of the
agent left is removed at its start, and a keeper removes what is left when the agent ends in any way.
"""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gridlight.adapters.sandbox import control_groups
from gridlight.adapters.sandbox.bubblewrap import ARTIFACTS, NOBODY, TEMPORARY
from gridlight.adapters.sandbox.port import (
    ENVIRONMENT,
    EngineUnavailable,
    Guarantees,
    WorkerCrashed,
    WorkerSpec,
)
from gridlight.adapters.sandbox.runtime import command, first_party_files
from gridlight.adapters.sandbox.seccomp import profile
from gridlight.adapters.sandbox.spawning import Given, end_of, start_child
from gridlight.adapters.sandbox.worker_process import DESCRIPTOR, WorkerProcess, frame_sockets, last_line, text_line

LABEL: Final = "gridlight.agent"

_COMMAND_S_MAX: Final = 30.0
_PROCESSES_MORE: Final = 24
"""The runtime's own threads count while it starts the worker."""

_REMOVE_TRIES_MAX: Final = 3
_END_TRIES_MAX: Final = 20
_END_PAUSE_S: Final = 0.1
_STATE: Final = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}"
_RUNNING: Final = "running"
_NAME: Final = re.compile(r"[^a-zA-Z0-9]")

_KEEPER: Final = """
read -r _
for _ in 1 2 3 4 5 6 7 8; do
    left=$(podman ps --all --quiet --filter "label=$1") && [ -z "$left" ] && exit
    podman rm --force --time 0 --volumes $left
    sleep 0.5
done
"""
"""Waits until its agent is gone, by the end of its input. What is just ending may not be removed at once."""


_WALLS: Final = frozenset(Guarantees.__struct_fields__)


class Podman:
    """The backend for any machine with a container engine."""

    name: Final = "podman"

    def __init__(self, owner: str, folder: Path) -> None:
        self.walls = _WALLS if _has_limits() else _WALLS - control_groups.GUARANTEES
        self._label = f"{LABEL}={owner}"
        self._prefix = f"gridlight-{_NAME.sub('', owner)[-12:]}-"
        self._folder = folder
        self._root = folder / "root"
        self._profile = folder / "seccomp.json"
        # Podman looks for a runtime by itself else; Debian's crun does not know a machine with both control groups.
        self._global = ["--runtime", "runc"] if shutil.which("runc") else []
        self._keeper: tuple[int, int] | None = None
        """Its process id, and the end of a pipe that keeps it waiting."""

    @classmethod
    async def opened(cls, owner: str, folder: Path) -> "Podman":
        """Ready to start workers, with what an earlier life of this owner left behind removed. EngineUnavailable."""
        if shutil.which("podman") is None:
            raise EngineUnavailable("there is no podman: apt-get install podman runc")
        podman = cls(owner, (folder / "podman").resolve())
        temporary = podman._root / TEMPORARY.lstrip("/")
        temporary.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o1777)  # what is mounted there takes its rights from it
        podman._profile.write_bytes(profile())
        first_party_files()
        await podman._sweep()
        podman._keeper = podman._start_keeper()
        return podman

    async def start(self, spec: WorkerSpec, *, ready_timeout_s: float) -> WorkerProcess:
        """In a container. WorkerCrashed, WorkerTimeout or EngineUnavailable where it does not come up."""
        name = f"{self._prefix}{secrets.token_hex(4)}"
        ours, theirs = frame_sockets()
        printed, theirs_printed = os.pipe()
        try:
            with theirs, os.fdopen(theirs_printed, "wb") as given:
                await self._run(name, spec, {given.fileno(): (2,), theirs.fileno(): (DESCRIPTOR,)}, printed)
            pid = int((self._folder / f"{name}.pid").read_text(encoding="ascii"))
            worker = WorkerProcess(
                pid, ours, printed=printed, is_child=False, clear_away=lambda: self._clear_away(name)
            )
        except BaseException as error:
            ours.close()
            said = last_line(printed)
            os.close(printed)
            why = await self._clear_away(name)
            if isinstance(error, ProcessLookupError | FileNotFoundError):
                raise WorkerCrashed(f"the container ended before it was ready: {why}: {said}") from None
            raise
        await worker.until_ready(ready_timeout_s)
        return worker

    async def close(self) -> None:
        """Let the keeper remove what is left, and wait for its end."""
        if self._keeper is not None:
            (pid, held), self._keeper = self._keeper, None
            os.close(held)
            with suppress(TimeoutError):
                await end_of(pid, timeout_s=_COMMAND_S_MAX)

    async def _run(self, name: str, spec: WorkerSpec, given: Given, printed: int) -> None:
        """Until the container runs; podman itself is gone then. What either prints is read from `printed`."""
        null = os.open(os.devnull, os.O_WRONLY)
        # Where a container runs out of memory, conmon leaves a file named `oom` in the folder it was started from.
        words = ["sh", "-c", 'cd "$0" && exec podman "$@"', str(self._folder)]
        words += [*self._global, "run", *self._options(name, spec), *self._inside(spec)]
        try:
            pid = start_child("/bin/sh", words, os.environ, {null: (1,), **given})
        finally:
            os.close(null)
        try:
            code = await end_of(pid, timeout_s=_COMMAND_S_MAX)
        except TimeoutError:
            raise EngineUnavailable(f"podman started no container within {_COMMAND_S_MAX:g} s") from None
        if code != 0:
            raise EngineUnavailable(f"podman starts no container: {last_line(printed)}")

    def _options(self, name: str, spec: WorkerSpec) -> list[str]:
        limits = spec.limits
        half_mib = max(1, limits.temporary_mib // 2)
        return [
            *("--detach", "--name", name, "--label", self._label, "--pidfile", str(self._folder / f"{name}.pid")),
            *("--pull", "never", "--preserve-fds", "1", "--user", f"{NOBODY}:{NOBODY}", "--workdir", "/"),
            *("--network", "none", "--no-hosts", "--hostname", "worker", "--http-proxy=false"),
            *("--read-only", "--read-only-tmpfs=false", "--shm-size", f"{half_mib}m"),
            *("--tmpfs", f"{TEMPORARY}:rw,size={half_mib}m,nosuid,nodev,noexec,mode=1777"),
            *("--memory", f"{limits.memory_mib}m", "--memory-swap", f"{limits.memory_mib}m"),
            *("--cpus", f"{limits.cpus:g}", "--pids-limit", str(limits.processes + _PROCESSES_MORE)),
            # Both are needed where this machine's root may not raise its own limits.
            *(
                "--ulimit",
                f"nofile={limits.files}:{limits.files}",
                "--ulimit",
                "nproc=4096:4096",
                "--ulimit",
                "core=0:0",
            ),
            *([] if limits.cpu_s is None else ["--ulimit", f"cpu={limits.cpu_s}:{limits.cpu_s}"]),
            *("--cap-drop", "all", "--security-opt", "no-new-privileges", "--security-opt", "mask=/proc/pressure"),
            *("--security-opt", f"seccomp={self._profile}"),
            *("--log-driver", "passthrough"),  # to us, who know how much is too much; an engine would go on reading
            *(word for key, value in ENVIRONMENT.items() for word in ("--env", f"{key}={value}")),
        ]

    def _inside(self, spec: WorkerSpec) -> list[str]:
        """What the container is made of, and what runs in it."""
        if spec.image is None:
            seen = {path: path for path in (*first_party_files(), *spec.read_only)}
            return [*_mounts(seen), "--rootfs", str(self._root), *command(spec.arguments)]
        words = _mounts({path: ARTIFACTS / path.name for path in spec.read_only})
        kind = ["--rootfs"] if Path(spec.image).is_absolute() else []
        return [*words, *kind, spec.image, *spec.arguments]

    async def _clear_away(self, name: str) -> str:
        """Remove the container and its files, and say why it ended."""
        why = ""
        with suppress(EngineUnavailable):
            why = _ending(await _last_state(name))
        for _ in range(_REMOVE_TRIES_MAX):  # one that is just ending may not be removed at once
            with suppress(EngineUnavailable):
                await _said_by("rm", "--force", "--ignore", "--time", "0", "--volumes", name)
                break
        for path in self._folder.glob(f"{name}.*"):
            path.unlink(missing_ok=True)
        return why

    async def _sweep(self) -> None:
        """Remove what ran under this label, and the files beside."""
        orphans = (await _said_by("ps", "--all", "--quiet", "--filter", f"label={self._label}")).split()
        if orphans:
            await _said_by("rm", "--force", "--time", "0", "--volumes", *orphans)
        for path in self._folder.glob(f"{self._prefix}*"):
            path.unlink(missing_ok=True)

    def _start_keeper(self) -> tuple[int, int]:
        """In a session of its own, where no signal to its agent's finds it."""
        read_end, write_end = os.pipe()
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            given: Given = {read_end: (0,), null: (1, 2)}
            pid = start_child("/bin/sh", ["sh", "-c", _KEEPER, "sh", self._label], os.environ, given)
        except BaseException:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
            os.close(null)
        return pid, write_end


def _has_limits() -> bool:
    """Without root, podman says that it ignores limits where control groups are of version 1, and goes on."""
    return os.geteuid() == 0 or Path("/sys/fs/cgroup/cgroup.controllers").exists()


async def _said_by(*words: str) -> str:
    """What podman prints. EngineUnavailable with what it complains of."""
    process = await asyncio.create_subprocess_exec(
        "podman",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_COMMAND_S_MAX):
            said, complained = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise EngineUnavailable(f"`podman {words[0]}` did not end within {_COMMAND_S_MAX:g} s") from None
    if process.returncode != 0:
        raise EngineUnavailable(f"`podman {words[0]}` failed: {text_line(complained)}")
    return said.decode(errors="replace")


async def _last_state(name: str) -> str:
    """As soon as podman knows of the end; conmon tells it, which may come later than the end itself."""
    state = ""
    for _ in range(_END_TRIES_MAX):
        state = await _said_by("inspect", "--format", _STATE, name)
        if not state.startswith(_RUNNING):
            break
        await asyncio.sleep(_END_PAUSE_S)
    return state.partition(" ")[2]


def _ending(state: str) -> str:
    """In words, from the exit code and whether the kernel killed it for its memory."""
    code, _, was_out_of_memory = state.strip().partition(" ")
    if was_out_of_memory == "true":
        return "it took more than its memory"
    return f"the container's exit code is {code}"


def _mounts(paths: dict[Path, Path]) -> Sequence[str]:
    return [
        word
        for ours, theirs in paths.items()
        for word in ("--mount", f"type=bind,source={ours.resolve()},destination={theirs},ro=true")
    ]
