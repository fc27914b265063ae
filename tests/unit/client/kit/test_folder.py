"""From a folder to a signed workload: the same bytes each time, and no mistake passed over."""

import json
import tarfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from gridlight.adapters.manifests import check_publication, read_manifest
from gridlight.adapters.signatures import SigningKey
from gridlight.client.errors import BadInput
from gridlight.client.kit.folder import build, built, init, publication, sign
from gridlight.client.kit.oci import BadLayout, pack_root, read_layout
from gridlight.messages.manifests import workload_id

KEY = SigningKey.generate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init(tmp_path / "bright", "bright")
    return tmp_path / "bright"


def rewrite(folder: Path, before: str, after: str) -> None:
    path = folder / "workload.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_init_writes_builds_and_is_signed(folder: Path) -> None:
    workload, manifest = build(folder)

    assert (manifest.name, manifest.publisher, manifest.run.name) == ("bright", None, "image")
    assert manifest.run.image == manifest.artifacts["image-manifest.json"]
    assert manifest.resources.download_bytes == sum(
        (folder / "build" / "blobs" / digest).stat().st_size for digest in manifest.artifacts.values()
    )
    signed = sign(folder, KEY, expires_ms=2_000)
    assert signed != workload, "the publisher is part of what is digested"
    again = read_manifest((folder / "build" / "manifest.json").read_bytes(), signed)
    check_publication(publication(folder), again, now_ms=1_000)
    assert again.publisher == KEY.public


def test_the_same_files_give_the_same_workload(folder: Path, tmp_path: Path) -> None:
    init(tmp_path / "again", "bright")

    assert build(folder)[0] == build(tmp_path / "again")[0] == build(folder)[0]


def test_a_changed_file_gives_another_workload(folder: Path) -> None:
    before, _ = build(folder)
    (folder / "root" / "run.py").write_text("pass")

    assert build(folder)[0] != before


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('licence = "Apache-2.0"', "", "missing required field `licence`"),
        ("permissions = []", 'permissions = ["network"]', "network"),
        ('name = "exact"', 'name = "vaguely"', "vaguely"),
        ("work_units = 100", "work_units = 0", "work_units"),
        ('root = "root"', "", "either `layout` or `root`"),
        ('root = "root"', 'root = "nowhere"', "no folder"),
        ("[artifacts]", '[artifacts]\nweights = "nowhere"', "artifact weights cannot be read"),
        ("width = 96", "width = 97", "one width and one height"),
        ('task = "object-detection"', 'task = "mining"', "task"),
        ("version =", "versoin =", "versoin"),
        ('entrypoint = ["/usr/bin/python3", "/run.py"]', "", "entrypoint"),
    ],
)
def test_a_mistake_is_named(folder: Path, before: str, after: str, said: str) -> None:
    path = folder / "workload.toml"
    path.write_text(path.read_text().replace(before, after, 1))

    with pytest.raises(BadInput, match=said):
        build(folder)


def test_nothing_is_begun_where_something_is(folder: Path) -> None:
    with pytest.raises(BadInput, match="holds a workload already"):
        init(folder, "other")


def test_what_is_not_built_or_signed_is_said_so(folder: Path) -> None:
    with pytest.raises(BadInput, match="is not built"):
        built(folder)
    build(folder)
    with pytest.raises(BadInput, match="is not signed"):
        publication(folder)


def test_a_damaged_artifact_is_not_published(folder: Path) -> None:
    _, manifest = build(folder)
    digest = manifest.artifacts["image-layer-0"]
    (folder / "build" / "blobs" / digest).write_bytes(b"X")

    with pytest.raises(BadInput, match="image-layer-0 of"):
        built(folder)
    assert workload_id(build(folder)[1]) == workload_id(manifest)


def test_a_packed_image_holds_the_files_and_neither_times_nor_owners(tmp_path: Path) -> None:
    (tmp_path / "root" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "bin" / "tool").write_bytes(b"#!")
    (tmp_path / "root" / "link").symlink_to("bin/tool")

    packed = pack_root(tmp_path / "root", ("/bin/tool",), tmp_path / "blobs")

    with tarfile.open(fileobj=BytesIO((tmp_path / "blobs" / packed.files["image-layer-0"]).read_bytes())) as layer:
        names = {entry.name: entry for entry in layer}
    assert names.keys() == {"bin", "bin/tool", "link"}
    assert {(one.uid, one.gid, one.mtime, one.uname) for one in names.values()} == {(0, 0, 0, "")}
    manifest = json.loads((tmp_path / "blobs" / packed.manifest).read_bytes())
    assert manifest["config"]["digest"] == f"sha256:{packed.files['image-config.json']}"


def layout(folder: Path, *, images: int = 1) -> Path:
    """An OCI layout as another tool would write it."""
    packed = pack_root(folder, ("/run.py",), folder.parent / "packed")
    out = folder.parent / "layout"
    (out / "blobs").mkdir(parents=True)
    (folder.parent / "packed").rename(out / "blobs" / "sha256")
    index = {"manifests": [{"digest": f"sha256:{packed.manifest}", "size": 1}] * images}
    (out / "index.json").write_text(json.dumps(index))
    return out


def test_a_layout_of_another_tool_is_taken_blob_by_blob(folder: Path) -> None:
    taken = read_layout(layout(folder / "root"), folder / "blobs")

    assert len(taken.files) == 3
    for digest in taken.files.values():
        assert sha256((folder / "blobs" / digest).read_bytes()).hexdigest() == digest


def test_a_layout_is_of_one_image_and_whole(folder: Path, tmp_path: Path) -> None:
    several = layout(folder / "root", images=2)
    with pytest.raises(BadLayout, match="names 2 images"):
        read_layout(several, tmp_path / "blobs")
    index = several / "index.json"
    index.write_text(json.dumps({"manifests": [json.loads(index.read_text())["manifests"][0]]}))
    victim = max((several / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    victim.write_bytes(b"X")
    with pytest.raises(BadLayout, match=r"damaged|cannot be read"):
        read_layout(several, tmp_path / "blobs")
    index.unlink()
    with pytest.raises(BadLayout, match="cannot be read"):
        read_layout(several, tmp_path / "blobs")
