"""A stranger's image from its blobs to a worker that answers, in either engine; nothing stays that nobody wants."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.engines import CONFINING, READY_S, image, opened, said_in_shell

from gridlight.adapters.sandbox.images import Image, Images, read_image
from gridlight.adapters.sandbox.unpacking import BadImage
from gridlight.client.kit.oci import pack_root
from gridlight.messages.codec import encode
from gridlight.messages.frames import FrameHeader
from gridlight.services.agent.workers import image_program
from gridlight.workloads.contract import manifest_named

NAME = "a" * 64
SCRIPT = f"""
    {said_in_shell(FrameHeader(id="ready"))}
    body="$(cat /artifacts/model.bin) $(echo x 2>/dev/null >/etc/x || echo shut)"
    head -c 1 <&3 >/dev/null
    printf '\\012\\000\\000\\000\\'$(printf %03o "${{#body}}")'\\000\\000\\000{{"id":"1"}}%s' "$body" >&3
    cat <&3 >/dev/null
"""


def packed(folder: Path, root: Path, *command: str) -> tuple[str, dict[str, str], dict[str, Path]]:
    """An image's digest, the artifacts that it is made of beside a model, and where they lie."""
    (folder / "blobs").mkdir(parents=True)
    blobs = pack_root(root, command, folder / "blobs")
    model = folder / "blobs" / ("b" * 64)
    model.write_bytes(b"weights")
    artifacts = {**blobs.files, "model.bin": "b" * 64}
    return blobs.manifest, artifacts, {name: folder / "blobs" / digest for name, digest in artifacts.items()}


def small(folder: Path) -> Image:
    """One file, and no program in it."""
    (folder / "root").mkdir(parents=True)
    (folder / "root" / "one").write_bytes(b"one")
    return read_image(*packed(folder, folder / "root", "/one"))


def damage(found: Image) -> None:
    """Since it was fetched."""
    Path(found.layers[0].path).write_bytes(b"no layer")


@pytest.mark.parametrize("engine", CONFINING)
async def test_an_image_is_unpacked_and_its_program_answers(engine: str, tmp_path: Path) -> None:
    async with opened(engine, tmp_path / "engine") as sandbox:
        with image("bubblewrap", tmp_path / "made") as root:
            found = read_image(*packed(tmp_path / "packed", Path(root), "/bin/sh", "-c", SCRIPT))
        async with Images(tmp_path / "roots").unpacked(NAME, found) as held:
            spec = image_program(manifest_named("coco-ssd"), held.root)
            worker = await sandbox.start(spec, ready_timeout_s=READY_S)
            try:
                _, body = await worker.call(FrameHeader(id="1"), timeout_s=10)
            finally:
                await worker.kill()
            held.is_unwanted = True

    assert body.decode() == "weights shut"
    assert [path.name for path in (tmp_path / "roots").iterdir()] == [f"{NAME}.lock"]


async def test_a_root_is_shared_and_goes_with_the_last_that_wants_it(tmp_path: Path) -> None:
    images, found = Images(tmp_path / "roots"), small(tmp_path)
    async with images.unpacked(NAME, found) as first:
        async with images.unpacked(NAME, found) as second:
            assert first.root == second.root
            second.is_unwanted = True
        assert (first.root.folder / "one").read_bytes() == b"one"
    assert first.root.folder.is_dir(), "who only ends keeps it for the next start"
    async with images.unpacked(NAME, found) as third:
        third.is_unwanted = True
    assert not third.root.folder.exists()


async def test_two_that_want_it_at_once_unpack_it_once(tmp_path: Path) -> None:
    found = small(tmp_path)

    async def one() -> int:
        async with Images(tmp_path / "roots").unpacked(NAME, found) as held:
            return (held.root.folder / "one").stat().st_ino

    assert len(set(await asyncio.gather(one(), one(), one()))) == 1


async def test_what_breaks_off_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    images, found = Images(tmp_path / "roots"), small(tmp_path)
    (tmp_path / "roots" / f"{NAME}.part" / "half").mkdir(parents=True)
    images.sweep()
    assert not (tmp_path / "roots" / f"{NAME}.part").exists()

    async def unpack() -> None:
        async with images.unpacked(NAME, found):
            await asyncio.Event().wait()

    task = asyncio.create_task(unpack())
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert not (tmp_path / "roots" / NAME).exists()

    damage(found)
    with pytest.raises(BadImage, match="cannot be read"):
        async with images.unpacked(NAME, found):
            pass
    assert [path.name for path in (tmp_path / "roots").iterdir()] == [f"{NAME}.lock"]


def test_an_image_is_made_of_the_manifests_artifacts_alone(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    digest, artifacts, files = packed(tmp_path / "packed", tmp_path / "root", "/run")
    assert read_image(digest, artifacts, files).artifacts == {"model.bin": str(files["model.bin"])}

    for bad in (digest.replace(digest[0], "f"), artifacts["image-config.json"]):
        with pytest.raises(BadImage):
            read_image("0" + bad[1:], artifacts, files)
    without = {name: one for name, one in artifacts.items() if name != "image-layer-0"}
    with pytest.raises(BadImage, match="none of the workload's artifacts"):
        read_image(digest, without, files)


@pytest.mark.parametrize(
    ("config", "layer", "said"),
    [
        ({"rootfs": {"diff_ids": []}, "config": {"Cmd": ["/run"]}}, "tar+gzip", "not as many"),
        ({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}, "config": {}}, "tar+gzip", "what is started"),
        ({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}, "config": {"Cmd": ["/run"]}}, "tar+zstd", "tar.zstd"),
        ({"rootfs": {"diff_ids": ["../../etc"]}, "config": {"Cmd": ["/run"]}}, "tar+gzip", "cannot be read"),
        ({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}, "config": {"Cmd": ["a\0b"]}}, "tar+gzip", "cannot be read"),
    ],
)
def test_an_image_that_makes_no_sense_is_refused(
    config: dict[str, object], layer: str, said: str, tmp_path: Path
) -> None:
    manifest = {
        "config": {"digest": "sha256:" + "c" * 64},
        "layers": [{"mediaType": f"application/vnd.oci.image.layer.v1.{layer}", "digest": "sha256:" + "d" * 64}],
    }
    files = {name: tmp_path / name for name in ("manifest", "config", "layer")}
    files["manifest"].write_bytes(encode(manifest))
    files["config"].write_bytes(encode(config))
    files["layer"].write_bytes(b"")
    digests = {"manifest": "e" * 64, "config": "c" * 64, "layer": "d" * 64}
    with pytest.raises(BadImage, match=said):
        read_image("e" * 64, digests, files)
