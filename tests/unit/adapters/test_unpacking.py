"""A stranger's layers become a folder, and nothing is ever written beside it."""

import gzip
import io
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gridlight.adapters.sandbox import unpacking
from gridlight.adapters.sandbox.unpacking import BadImage, Layer, Order, unpack

Entry = tuple[str, bytes | str | None, dict[str, Any]]


def file(name: str, content: bytes = b"x", **more: Any) -> Entry:
    return name, content, more


def special(name: str, kind: bytes, link: str = "", **more: Any) -> Entry:
    return name, None, {"type": kind, "linkname": link, **more}


def folder(name: str) -> Entry:
    return special(name, tarfile.DIRTYPE)


def link(name: str, to: str) -> Entry:
    return special(name, tarfile.SYMTYPE, to)


def hard(name: str, to: str) -> Entry:
    return special(name, tarfile.LNKTYPE, to)


class Bench:
    """Where layers are written and unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path / "inside" / "root"

    def layer(self, *entries: Entry, is_compressed: bool = True) -> Layer:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as archive:
            for name, content, more in entries:
                entry = tarfile.TarInfo(name)
                for key, value in more.items():
                    setattr(entry, key, value)
                data = content if isinstance(content, bytes) else b""
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return self.written(plain.getvalue(), is_compressed=is_compressed)

    def written(self, plain: bytes, *, is_compressed: bool = True, digest: str | None = None) -> Layer:
        path = self.path / f"layer-{len(list(self.path.iterdir()))}"
        path.write_bytes(gzip.compress(plain, 1) if is_compressed else plain)
        return Layer(str(path), is_compressed, digest or sha256(plain).hexdigest())

    def unpacked(self, *layers: Layer, **more: Any) -> Path:
        unpack(Order(str(self.root), layers, more.pop("artifacts", {}), **more))
        return self.root


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_layers_lie_one_over_the_other(bench: Bench) -> None:
    lower = bench.layer(folder("bin"), file("bin/run", b"old", mode=0o4755), file("etc/kept", b"kept", mode=0o600))
    upper = bench.layer(file("./bin/run", b"new", mode=0o750), link("lib", "/usr/lib"), is_compressed=False)

    root = bench.unpacked(lower, upper)

    assert (root / "bin" / "run").read_bytes() == b"new"
    assert (root / "bin" / "run").stat().st_mode & 0o7777 == 0o755
    assert (root / "etc" / "kept").stat().st_mode & 0o7777 == 0o644
    assert (root / "lib").readlink() == Path("/usr/lib")
    assert {"proc", "dev", "sys", "tmp", "run", "artifacts"} <= {path.name for path in root.iterdir()}


def test_set_user_id_and_devices_are_left_out(bench: Bench) -> None:
    root = bench.unpacked(
        bench.layer(
            file("su", mode=0o6755),
            special("dev/sda", tarfile.BLKTYPE),
            special("dev/null", tarfile.CHRTYPE),
            special("pipe", tarfile.FIFOTYPE),
        )
    )
    assert (root / "su").stat().st_mode & 0o7777 == 0o755
    assert not list((root / "dev").iterdir())
    assert not (root / "pipe").exists()


def test_whiteouts_hide_what_lower_layers_have_and_not_their_own(bench: Bench) -> None:
    lower = bench.layer(file("a/one"), file("a/two"), file("b/one"), file("b/deep/low"), file("c/one"))
    upper = bench.layer(
        file("a/.wh.one", b""),
        file("b/new"),
        file("b/deep/high"),
        file("b/.wh..wh..opq", b""),
        file(".wh.c", b""),
        file("absent/.wh.one", b""),
        file("gone/.wh..wh..opq", b""),
    )
    root = bench.unpacked(lower, upper)

    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == {"a/two", "b/new", "b/deep/high"}


def test_what_replaces_something_of_another_kind_takes_its_place(bench: Bench) -> None:
    lower = bench.layer(file("a/inside"), link("b", "/etc"), file("c"), hard("d", "c"))
    upper = bench.layer(file("a", b"file"), folder("b"), file("b/inside"), folder("c"))

    root = bench.unpacked(lower, upper)

    assert (root / "a").read_bytes() == b"file"
    assert (root / "b" / "inside").is_file()
    assert not (root / "b").is_symlink()
    assert (root / "c").is_dir()
    assert (root / "d").is_file()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((file("/etc/passwd"),), "no name below the root"),
        ((file("a/../../outside"),), "leads out"),
        ((file("a/" * 600 + "x"),), "no name below the root"),
        ((file(".wh..."),), "leads out"),
        ((link("way", "/"), file("way/outside")), "passes through"),
        ((link("way", ".."), folder("way/outside")), "passes through"),
        ((link("way", "../.."), file("way/.wh.precious")), "passes through"),
        ((link("way", "../.."), file("way/.wh..wh..opq")), "passes through"),
        ((link("way", "../.."), hard("copy", "way/precious")), "passes through"),
        ((link("copied", "../../precious"), hard("copy", "copied")), "what is no file"),
        ((hard("copy", "../../precious"),), "leads out"),
        ((hard("copy", "absent"),), "what is no file"),
        ((file("same"), hard("same", "same")), "what is no file"),
        ((link("empty", ""),), "link to nothing"),
        ((file("a"), file("a/b")), "passes through"),
        ((link("artifacts", "../.."),), "passes through"),
    ],
)
def test_nothing_leads_out(bench: Bench, entries: tuple[Entry, ...], said: str) -> None:
    precious = bench.path / "precious"
    precious.write_bytes(b"precious")

    with pytest.raises(BadImage, match=said):
        bench.unpacked(bench.layer(*entries))

    assert precious.read_bytes() == b"precious"
    assert precious.stat().st_nlink == 1
    assert {path.name for path in bench.root.parent.iterdir()} == {"root"}


def test_a_name_that_is_no_folder_of_ours_hides_nothing(bench: Bench) -> None:
    root = bench.unpacked(bench.layer(file("a")), bench.layer(file("a/.wh.b", b"")))
    assert (root / "a").is_file()


def test_the_manifests_files_are_where_the_program_looks_for_them(bench: Bench) -> None:
    model = bench.path / "model"
    model.write_bytes(b"weights")

    root = bench.unpacked(bench.layer(file("program")), artifacts={"model.onnx": str(model)})

    assert (root / "artifacts" / "model.onnx").read_bytes() == b"weights"


def test_a_layer_is_what_the_image_says_that_it_is(bench: Bench) -> None:
    good = bench.layer(file("run"), is_compressed=False)
    plain = Path(good.path).read_bytes()
    for bad in (
        bench.written(plain, digest="0" * 64),
        bench.written(plain + b"more", digest=good.plain_digest),
        bench.written(b"no tar file at all" * 100),
        Layer(good.path, is_compressed=True, plain_digest=good.plain_digest),
        bench.written(plain[:-9_000]),
    ):
        with pytest.raises(BadImage):
            bench.unpacked(bad)
        for path in sorted(bench.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        bench.root.rmdir()


def test_bytes_and_entries_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bench.layer(file("zeros", bytes(3_000_000)))
    assert Path(bomb.path).stat().st_size < 30_000
    with pytest.raises(BadImage, match="larger than is allowed"):
        bench.unpacked(bomb, bytes_max=1_000_000)

    monkeypatch.setattr(unpacking, "ENTRIES_MAX", 3)
    other = Bench(bench.path / "inside")
    with pytest.raises(BadImage, match="more than 3 entries"):
        other.unpacked(other.layer(*(file(str(number)) for number in range(4))))
