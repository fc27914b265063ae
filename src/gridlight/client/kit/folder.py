"""A publisher's folder: what it says in workload.toml, and the manifest and artifacts that are built from it.

`build/` holds what is published: manifest.json, publication.txt once it is signed, and blobs/ by digest.
"""

import shutil
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.adapters.blobs import Blobs, file_sha256
from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.adapters.manifests import ManifestRefused, publish, read_manifest
from gridlight.adapters.signatures import SigningKey
from gridlight.client.errors import BadInput
from gridlight.client.kit.oci import BadLayout, ImageBlobs, pack_root, read_layout
from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import (
    SCHEMA,
    Manifest,
    NumericClass,
    Permission,
    Resources,
    Run,
    Step,
    canonical,
    workload_id,
)
from gridlight.messages.trust import Comparison
from gridlight.workloads.contract import BadManifest, check_manifest

WORKLOAD_FILE: Final = "workload.toml"
PROGRAM_FILE: Final = "run.py"
MANIFEST_FILE: Final = "manifest.json"
PUBLICATION_FILE: Final = "publication.txt"
_KIT: Final = Path(__file__).parent
_HINT: Final = "docs/how_to/write_a_workload.md explains every line of workload.toml"


class DraftResources(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a worker needs; what a node must fetch is counted by `build`."""

    memory_mib: int
    cpus: int = 1
    tmp_mib: int = 0


class DraftRun(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What runs on nodes, and how it is run here for the tests."""

    name: str
    parameters: dict[str, int] = {}
    program: tuple[str, ...] = ()
    layout: Path | None = None
    root: Path | None = None
    entrypoint: tuple[str, ...] = ()


class Vectors(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Inputs to test with."""

    folder: Path


class Draft(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """workload.toml."""

    name: str
    version: str
    purpose: str
    sees: str
    licence: str
    task: str
    input: str
    permissions: tuple[Permission, ...] = ()
    numeric_class: NumericClass
    work_units: int
    labels: tuple[str, ...]
    resources: DraftResources
    artifacts: dict[str, Path] = {}
    prepare: Step
    run: DraftRun
    present: Step
    compare: Comparison
    vectors: Vectors | None = None


def init(folder: Path, name: str) -> list[Path]:
    """A folder to begin with: what to fill in, and a program that works. BadInput where there is one already."""
    if (folder / WORKLOAD_FILE).exists():
        raise BadInput(f"{folder} holds a workload already", "name another folder")
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    text = (_KIT / WORKLOAD_FILE).read_text(encoding="utf-8").replace('"NAME"', f'"{name}"')
    (folder / WORKLOAD_FILE).write_text(text, encoding="utf-8")
    shutil.copyfile(_KIT / "example_run.py", folder / PROGRAM_FILE)
    (folder / "root").mkdir(exist_ok=True)
    shutil.copyfile(_KIT / "example_run.py", folder / "root" / PROGRAM_FILE)
    return [folder / WORKLOAD_FILE, folder / PROGRAM_FILE]


def read_draft(folder: Path) -> Draft:
    """BadInput says what is wrong in workload.toml."""
    try:
        return load_config(folder / WORKLOAD_FILE, Draft)
    except BadConfiguration as error:
        hint = "the network is never given to a workload" if "'network'" in str(error) else _HINT
        raise BadInput(str(error), hint) from error


def build(folder: Path) -> tuple[WorkloadId, Manifest]:
    """Put everything under its digest and write the manifest, not signed yet. BadInput."""
    draft = read_draft(folder)
    out = folder / "build"
    shutil.rmtree(out, ignore_errors=True)
    blobs = Blobs(out / "blobs")
    artifacts, download_bytes = _keep_artifacts(folder, draft, blobs)
    image: str | None = None
    if draft.run.name == "image":
        packed = _image(folder, draft.run, out)
        artifacts |= packed.files
        download_bytes += packed.size
        image = packed.manifest
    manifest = Manifest(
        schema=SCHEMA,  # type: ignore[arg-type]  # the one value that its Literal allows
        name=draft.name,
        version=draft.version,
        purpose=draft.purpose,
        sees=draft.sees,
        licence=draft.licence,
        task=draft.task,  # type: ignore[arg-type]  # checked where the manifest is read back, below
        input=draft.input,
        permissions=draft.permissions,
        resources=Resources(
            memory_mib=draft.resources.memory_mib,
            cpus=draft.resources.cpus,
            tmp_mib=draft.resources.tmp_mib,
            download_bytes=max(download_bytes, 1),
        ),
        numeric_class=draft.numeric_class,
        work_units=draft.work_units,
        artifacts=artifacts,
        prepare=draft.prepare,
        run=_run(draft.run, image),
        present=draft.present,
        compare=draft.compare,
        labels=draft.labels,
    )
    try:
        checked = read_manifest(canonical(manifest))
        check_manifest(checked)
    except (ManifestRefused, BadManifest) as error:
        raise BadInput(f"{folder / WORKLOAD_FILE}: {error}", _HINT) from error
    (out / MANIFEST_FILE).write_bytes(canonical(checked))
    return workload_id(checked), checked


def built(folder: Path) -> Manifest:
    """What `build` wrote. BadInput where nothing is built, or an artifact is missing or damaged."""
    try:
        manifest = read_manifest((folder / "build" / MANIFEST_FILE).read_bytes())
    except (OSError, ManifestRefused) as error:
        raise BadInput(f"{folder} is not built: {error}", "run `gridlight workload build` first") from error
    for name, digest in manifest.artifacts.items():
        if Blobs(folder / "build" / "blobs").verified_path(digest) is None:
            raise BadInput(f"the artifact {name} of {folder} is missing or damaged", "build it again")
    return manifest


def blob(folder: Path, digest: str) -> Path:
    """Where a built artifact lies."""
    return folder / "build" / "blobs" / digest


def sign(folder: Path, key: SigningKey, *, expires_ms: int) -> WorkloadId:
    """Name the publisher in the manifest, and sign its digest. BadInput where nothing is built."""
    manifest = replace(built(folder), publisher=key.public)
    workload = workload_id(manifest)
    (folder / "build" / MANIFEST_FILE).write_bytes(canonical(manifest))
    text = publish(key, workload, expires_ms=expires_ms)
    (folder / "build" / PUBLICATION_FILE).write_text(f"{text}\n", encoding="ascii")
    return workload


def publication(folder: Path) -> str:
    """What `sign` wrote. BadInput where it was not signed since it was built."""
    try:
        return (folder / "build" / PUBLICATION_FILE).read_text(encoding="ascii").strip()
    except OSError as error:
        raise BadInput(f"{folder} is not signed: {error.strerror}", "run `gridlight workload sign` first") from error


def _keep_artifacts(folder: Path, draft: Draft, blobs: Blobs) -> tuple[dict[str, str], int]:
    kept: dict[str, str] = {}
    size = 0
    for name, path in draft.artifacts.items():
        source = folder / path
        try:
            digest = file_sha256(source)
            blobs.put(source, digest)
        except OSError as error:
            raise BadInput(f"the artifact {name} cannot be read: {source}: {error.strerror}", _HINT) from error
        kept[name] = digest
        size += source.stat().st_size
    return kept, size


def _image(folder: Path, run: DraftRun, out: Path) -> ImageBlobs:
    if (run.layout is None) == (run.root is None):
        raise BadInput("run: an image comes from either `layout` or `root`", _HINT)
    try:
        if run.layout is not None:
            return read_layout(folder / run.layout, out / "blobs")
        assert run.root is not None
        return pack_root(folder / run.root, run.entrypoint, out / "blobs")
    except (BadLayout, OSError) as error:
        raise BadInput(f"run: the image cannot be packed: {error}", _HINT) from error


def _run(run: DraftRun, image: str | None) -> Run:
    try:
        return Run(name=run.name, parameters=run.parameters, image=image)  # type: ignore[arg-type]  # read back below
    except ValueError as error:
        raise BadInput(f"run: {error}", _HINT) from error
