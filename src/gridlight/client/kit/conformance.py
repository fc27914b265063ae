"""The conformance suite: what a network expects of a workload's program, tried on the publisher's own machine.

A node that is accepted by this suite is not safe by it; it only is one that nodes need not give up on.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from gridlight.adapters.clock import monotonic_ms
from gridlight.client.errors import BadInput
from gridlight.client.kit.folder import Draft, blob, built, read_draft
from gridlight.client.kit.programs import Program, ProgramFailed, first_party_command
from gridlight.messages.frames import FrameHeader
from gridlight.messages.limits import PROBES_MAX
from gridlight.messages.manifests import Manifest, canonical
from gridlight.workloads.prepare import PictureRefused, prepare
from gridlight.workloads.present import check_output

READY_S_MAX: Final = 60.0
CALL_S_MAX: Final = 60.0
SEEDS: Final = (0, 1, 2**53 - 1)
BAD_SEEDS: Final[tuple[Any, ...]] = (None, -1, 2**53, "seven", 1.5)
PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp")
TENSOR: Final = ".bin"
_CHANNELS: Final = 3


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is expected, whether it held, and what was seen."""

    what: str
    holds: bool
    seen: str
    ms: int


class Broken(Exception):
    """What was expected does not hold."""


class Bench:
    """One workload on the bench: its manifest, how its program starts, and what it is fed."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.manifest: Final = built(folder)
        draft = read_draft(folder)
        self.is_own_program: Final = self.manifest.run.name == "image"
        manifest_file = scratch / "manifest.json"
        manifest_file.write_bytes(canonical(self.manifest))
        self._command = self._how(folder, draft, manifest_file)
        self.vectors: Final = dict(_vectors(folder, draft, self.manifest))
        """Prepared inputs by a name."""

    @property
    def input_bytes(self) -> int:
        """What the gateway sends for each task."""
        return _input_bytes(self.manifest)

    @contextmanager
    def program(self) -> Iterator[tuple[Program, FrameHeader]]:
        """Started and ready."""
        limit = None if self.is_own_program else self.manifest.resources.memory_mib
        with Program(self._command, memory_mib=limit) as program:
            yield program, program.ready(READY_S_MAX)

    def _how(self, folder: Path, draft: Draft, manifest_file: Path) -> list[str]:
        if not self.is_own_program:
            [digest] = self.manifest.artifacts.values()
            return first_party_command(self.manifest.name, blob(folder, digest), manifest_file)
        if not draft.run.program:
            raise BadInput("run.program is missing", "say how your program is started on this machine")
        # The program runs where it likes: what is a file of the folder is named by its whole path.
        words = [str((folder / one).resolve()) if (folder / one).is_file() else one for one in draft.run.program]
        return [draft.run.program[0], *words[1:]]


def try_out(folder: Path, listen: Callable[[Finding], None] = lambda _: None) -> list[Finding]:
    """Every expectation in its turn. BadInput where there is nothing to try."""
    with tempfile.TemporaryDirectory(prefix="gridlight-conformance-") as scratch:
        bench = Bench(folder, Path(scratch))
        findings: list[Finding] = []
        for what, check in _CHECKS.items():
            findings.append(_tried(what, check, bench))
            listen(findings[-1])
        return findings


def _tried(what: str, check: Callable[[Bench], str], bench: Bench) -> Finding:
    started_ms = monotonic_ms()
    try:
        seen, holds = check(bench), True
    except (Broken, ProgramFailed) as failure:
        seen, holds = str(failure), False
    return Finding(what=what, holds=holds, seen=seen, ms=monotonic_ms() - started_ms)


def _ready(bench: Bench) -> str:
    started_ms = monotonic_ms()
    with bench.program() as (_, ready):
        benchmark_ms = ready.parameters.get("benchmark_ms")
        if not isinstance(benchmark_ms, int) or not 1 <= benchmark_ms <= 600_000:
            raise Broken(f"its first frame says benchmark_ms = {benchmark_ms!r}, and should say whole milliseconds")
        return f"ready after {monotonic_ms() - started_ms} ms; a run takes {benchmark_ms} ms here"


def _deterministic(bench: Bench) -> str:
    first = _outputs(bench)
    if first != _outputs(bench):
        raise Broken("a second process answers another output or other probes to the same input and seed")
    return f"{len(bench.vectors)} inputs, twice in each of two processes"


def _outputs(bench: Bench) -> dict[str, tuple[bytes, object]]:
    outputs: dict[str, tuple[bytes, object]] = {}
    with bench.program() as (program, _):
        for name, vector in bench.vectors.items():
            once, again = (_answered(program, vector) for _ in range(2))
            if once != again:
                raise Broken(f"{name} gives another output the second time")
            outputs[name] = once
    return outputs


def _canonical(bench: Bench) -> str:
    found = 0
    with bench.program() as (program, _):
        for name, vector in bench.vectors.items():
            try:
                found += check_output(bench.manifest, _answered(program, vector)[0])
            except ValueError as error:
                raise Broken(f"the output for {name} is not canonical: {error}") from error
    return f"{found} things found in {len(bench.vectors)} inputs"


def _refuses_wrong_sizes(bench: Bench) -> str:
    right = next(iter(bench.vectors.values()))
    with bench.program() as (program, _):
        for wrong in (b"", right[:-1], right + b"\0"):
            _refused(program, wrong, {"probe_seed": 0}, f"{len(wrong)} bytes")
        _answered(program, right)
    return f"none, one byte less and one more than {bench.input_bytes}"


def _refuses_bad_calls(bench: Bench) -> str:
    right = next(iter(bench.vectors.values()))
    with bench.program() as (program, _):
        for seed in BAD_SEEDS:
            _refused(program, right, {} if seed is None else {"probe_seed": seed}, f"probe_seed {seed!r}")
        _answered(program, right)
    return f"{len(BAD_SEEDS)} calls without a sound probe_seed"


def _probes(bench: Bench) -> str:
    vector = next(reversed(bench.vectors.values()))
    seen: list[object] = []
    with bench.program() as (program, _):
        for seed in SEEDS:
            answer, _output = program.call(vector, {"probe_seed": seed}, CALL_S_MAX)
            probes: Any = answer.parameters.get("probes")
            is_list = isinstance(probes, list) and 1 <= len(probes) <= PROBES_MAX
            if not is_list or not all(type(one) is int and abs(one) <= 2**53 for one in probes):
                raise Broken(f"probes should be 1 to {PROBES_MAX} integers, and are {str(probes)[:200]}")
            seen.append(probes)
    if all(probes == seen[0] for probes in seen):
        raise Broken("the probes are the same for every seed: they would prove nothing")
    return f"{len(SEEDS)} seeds"


def _survives_junk(bench: Bench) -> str:
    junk = [bytes([value]) * bench.input_bytes for value in (0, 255)] + [_noise(bench.input_bytes, "junk")]
    with bench.program() as (program, _):
        for one in junk:
            try:
                check_output(bench.manifest, _answered(program, one)[0])
            except ValueError as error:
                raise Broken(f"junk gives an output that is not canonical: {error}") from error
    return f"{len(junk)} inputs that are no picture"


def _memory(bench: Bench) -> str:
    limit = bench.manifest.resources.memory_mib
    with bench.program() as (program, _):
        for vector in bench.vectors.values():
            _answered(program, vector)
        peak = program.peak_mib()
    if peak > limit:
        raise Broken(f"it took {peak} MiB, and the manifest says {limit} MiB")
    return f"{peak} of {limit} MiB"


def _ends(bench: Bench) -> str:
    with bench.program() as (program, _):
        if not program.ends_by_itself():
            raise Broken("it did not end within 2 s of its socket")
    return "it ended when its socket was closed"


_CHECKS: Final[dict[str, Callable[[Bench], str]]] = {
    "it is ready in time": _ready,
    "equal inputs give equal outputs": _deterministic,
    "outputs are canonical": _canonical,
    "inputs of a wrong size are refused, and it goes on": _refuses_wrong_sizes,
    "senseless calls are refused, and it goes on": _refuses_bad_calls,
    "probes follow the seed": _probes,
    "junk is survived": _survives_junk,
    "memory stays below what the manifest says": _memory,
    "it ends with its socket": _ends,
}


def _answered(program: Program, vector: bytes) -> tuple[bytes, object]:
    answer, output = program.call(vector, {"probe_seed": 7}, CALL_S_MAX)
    if answer.error is not None:
        raise Broken(f"it refuses an input of the right size: {answer.error[:200]}")
    if not isinstance(answer.parameters.get("infer_ms"), int):
        raise Broken("the answer does not say infer_ms, in whole milliseconds")
    return output, answer.parameters.get("probes")


def _refused(program: Program, body: bytes, parameters: dict[str, object], what: str) -> None:
    answer, _ = program.call(body, parameters, CALL_S_MAX)
    if answer.error is None or answer.error_code is None:
        raise Broken(f"{what} should be refused with `error` and `error_code`, and was answered")


def _input_bytes(manifest: Manifest) -> int:
    return manifest.prepare.parameters["width"] * manifest.prepare.parameters["height"] * _CHANNELS


def _vectors(folder: Path, draft: Draft, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Those of the publisher, and three that need no file."""
    size = _input_bytes(manifest)
    yield "black", bytes(size)
    yield "ramp", bytes(place * 251 // size for place in range(size))
    if draft.vectors is not None:
        for path in sorted((folder / draft.vectors.folder).iterdir()):
            if path.suffix.lower() in PICTURES:
                yield path.name, _prepared(path, manifest)
            elif path.suffix.lower() == TENSOR:
                data = path.read_bytes()
                if len(data) != size:
                    raise BadInput(f"{path} has {len(data)} bytes", f"a prepared input has {size}")
                yield path.name, data
    yield "noise", _noise(size, "noise")


def _prepared(path: Path, manifest: Manifest) -> bytes:
    try:
        return prepare(manifest.prepare.name, manifest.prepare.parameters, path.read_bytes()).tensor
    except PictureRefused as refused:
        raise BadInput(f"{path}: {refused.message}", refused.hint) from refused


def _noise(size: int, label: str) -> bytes:
    """The same bytes each time."""
    blocks = (blake2b(f"{label} {number}".encode()).digest() for number in range(-(-size // 64)))
    return b"".join(blocks)[:size]
