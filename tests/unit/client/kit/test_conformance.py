"""The suite passes a program that does what it should, and names what one that does not gets wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.pictures.making import photo

from gridlight.client.errors import BadInput
from gridlight.client.kit.conformance import try_out
from gridlight.client.kit.folder import build, init

SAYS_WRONG_THINGS = {
    "it is ready in time": ('"benchmark_ms": benchmark_ms', '"benchmark_ms": "soon"'),
    "outputs are canonical": ("return DETECTION.pack(1,", "return DETECTION.pack(9,"),
    "probes follow the seed": ('key=seed.to_bytes(8, "little")', "key=bytes(8)"),
    "memory stays below what the manifest says": ("PROBES = 16", 'PROBES = 16\nHOARD = b"x" * (200 << 20)'),
}
DOES_WRONG_THINGS = {
    "equal inputs give equal outputs": (
        "found, raw = run(body), probes(body, seed)",
        "answer.seen = not getattr(answer, 'seen', False)\n    "
        "found, raw = run(body)[: 12 * answer.seen], probes(body, seed)",
    ),
    "inputs of a wrong size are refused, and it goes on": ("if len(body) != WIDTH * HEIGHT * 3:", "if False:"),
    "senseless calls are refused, and it goes on": ("0 <= seed < 2**53", "seed < 2**53"),
    "it ends with its socket": ("    main()\n", "    main()\n    time.sleep(60)\n"),
}
"""What is expected, and the slip in the example's program that breaks it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init(tmp_path / "bright", "bright")
    build(tmp_path / "bright")
    return tmp_path / "bright"


def test_the_example_passes_with_a_photo_and_each_finding_is_told_as_it_is_found(folder: Path) -> None:
    photo().save(folder / "vectors" / "photo.png")
    told: list[str] = []

    findings = try_out(folder, lambda finding: told.append(finding.what))

    assert all(finding.holds for finding in findings), findings
    assert told == [finding.what for finding in findings]
    assert set(told) >= SAYS_WRONG_THINGS.keys() | DOES_WRONG_THINGS.keys()
    assert "4 inputs" in findings[1].seen


@pytest.mark.parametrize("slips", [SAYS_WRONG_THINGS, DOES_WRONG_THINGS], ids=["says", "does"])
def test_a_program_with_slips_is_told_which_expectations_it_breaks(
    folder: Path, slips: dict[str, tuple[str, str]]
) -> None:
    text = (folder / "run.py").read_text()
    for before, after in slips.values():
        assert before in text
        text = text.replace(before, after, 1)
    (folder / "run.py").write_text(text)

    failed = {finding.what for finding in try_out(folder) if not finding.holds}

    assert failed >= set(slips)
    assert failed <= set(slips) | {"junk is survived"}, "an output that is not canonical shows there, too"


def test_what_is_no_program_of_ours_fails_everything_and_hangs_nothing(folder: Path) -> None:
    (folder / "run.py").write_text("import os; os.write(3, b'X' * 4096)")

    findings = try_out(folder)

    assert not any(finding.holds for finding in findings)
    assert all(finding.ms < 10_000 for finding in findings)


def test_a_vector_of_the_wrong_size_is_named(folder: Path) -> None:
    (folder / "vectors" / "short.bin").write_bytes(b"123")

    with pytest.raises(BadInput, match=r"short\.bin has 3 bytes"):
        try_out(folder)


def test_the_command_says_what_was_seen_and_ends_with_1_where_something_fails(folder: Path) -> None:
    text = (folder / "run.py").read_text()
    (folder / "run.py").write_text(text.replace(*SAYS_WRONG_THINGS["probes follow the seed"]))

    done = subprocess.run(
        [sys.executable, "-m", "gridlight", "workload", "test", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "FAILS  probes follow the seed: the probes are the same for every seed" in done.stdout
    assert done.stdout.endswith("8 of 9 hold\n")
