"""What the gateway makes of a requester's picture, inside a confined process: the model's own uint8 tensor.

The header is read, and everything refusable is refused, before a pixel is decoded. The closed first-party list.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from gridlight.messages.limits import PICTURE_PIXELS_MAX, UPLOAD_BYTES_MAX
from gridlight.workloads.contract import letterboxed

PIXEL_SCANS_MAX = 30 * PICTURE_PIXELS_MAX
"""A progressive JPEG is decoded once per scan; a few MB can hold thousands of scans of a large picture."""

_UPLOAD_MIB_MAX = UPLOAD_BYTES_MAX // (1024 * 1024)
_MEGAPIXELS_MAX = PICTURE_PIXELS_MAX // 1_000_000
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for bytes that are not what their header says."""

_EXIF_ORIENTATION = 0x0112
_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what shows the picture upright; from 5 on, width and height change places."""

# Our own bounds are stricter, are checked first, and answer with a hint.
Image.MAX_IMAGE_PIXELS = None


class PictureRefused(Exception):
    """The requester's picture cannot be used: a code for programs, a sentence, and what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint


class Prepared(NamedTuple):
    """A model's input, and the size of the picture as shown."""

    tensor: bytes
    shape: tuple[int, ...]
    width: int
    height: int


def prepare(name: str, parameters: dict[str, int], picture: bytes | bytearray | memoryview) -> Prepared:
    """Run the first-party step of this name. PictureRefused where the picture cannot be used."""
    if not picture:
        raise PictureRefused("EMPTY_PICTURE", "the picture has no bytes", "send a JPEG, PNG or WebP file as the body")
    if len(picture) > UPLOAD_BYTES_MAX:
        raise PictureRefused(
            "PICTURE_TOO_LARGE",
            f"the picture has {len(picture)} bytes",
            f"send at most {_UPLOAD_MIB_MAX} MiB; a smaller or more compressed picture is found just as well",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that we do not read
            return PREPARES[name](parameters, bytes(picture))
    except _BROKEN as error:
        raise _broken(str(error) or type(error).__name__) from error
    except MemoryError as error:
        raise _too_many_pixels("the picture needs more memory than one picture may take") from error


def _resize_rgb_uint8(parameters: dict[str, int], picture: bytes) -> Prepared:
    """Plain resize of the upright picture to `width` x `height`, RGB, one byte a channel, rows first."""
    width, height = parameters["width"], parameters["height"]
    image = _open(picture)
    orientation = _orientation(image.info.get("exif", b""))
    is_turned = orientation >= 5
    shown = (image.height, image.width) if is_turned else image.size
    size = (height, width) if is_turned else (width, height)
    image.draft("RGB", size)  # JPEG only: leaves out the frequencies that the resize would drop
    image.load()
    small = _flattened(_resizable(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    if orientation in _TRANSPOSES:
        small = small.transpose(_TRANSPOSES[orientation])
    return Prepared(small.tobytes(), (1, height, width, 3), shown[0], shown[1])


def _letterbox_rgb_uint8(parameters: dict[str, int], picture: bytes) -> Prepared:
    """The upright picture as large as fits into `width` x `height`, at the top left; the rest is white, as paper is."""
    width, height = parameters["width"], parameters["height"]
    image = _open(picture)
    orientation = _orientation(image.info.get("exif", b""))
    is_turned = orientation >= 5
    shown = (image.height, image.width) if is_turned else image.size
    across, down = letterboxed(*shown, width, height)
    size = (down, across) if is_turned else (across, down)
    image.draft("RGB", size)  # JPEG only: leaves out the frequencies that the resize would drop
    image.load()
    small = _flattened(_resizable(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))
    if orientation in _TRANSPOSES:
        small = small.transpose(_TRANSPOSES[orientation])
    paper = Image.new("RGB", (width, height), "white")
    paper.paste(small, (0, 0))
    return Prepared(paper.tobytes(), (1, height, width, 3), shown[0], shown[1])


PREPARES: Final[dict[str, Callable[[dict[str, int], bytes], Prepared]]] = {
    "resize_rgb_uint8": _resize_rgb_uint8,
    "letterbox_rgb_uint8": _letterbox_rgb_uint8,
}


def _open(picture: bytes) -> ImageFile.ImageFile:
    """The picture with its header read and found good, no pixel decoded."""
    if picture.startswith(b"\xff\xd8\xff"):
        return _open_jpeg(picture)
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return _open_png(picture)
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return _open_webp(picture)
    raise PictureRefused(
        "NOT_A_PICTURE",
        "the bytes are not a JPEG, PNG or WebP picture",
        "convert the picture to JPEG, PNG or WebP; the format is read from the bytes, not from the content type",
    )


def _open_jpeg(picture: bytes) -> ImageFile.ImageFile:
    image = JpegImageFile(io.BytesIO(picture))
    _check_size(*image.size)
    if image.mode not in ("RGB", "L"):
        raise _unsupported(f"a {image.mode} JPEG", "convert it to RGB; CMYK pictures are meant for printing")
    # A marker's bytes cannot occur inside compressed data, so this counts scans without decoding one.
    scans = picture.count(b"\xff\xda") if "progressive" in image.info else 1
    if scans * image.width * image.height > PIXEL_SCANS_MAX:
        raise _unsupported("a progressive JPEG with this many scans", "save it as a baseline JPEG")
    return image


def _open_png(picture: bytes) -> ImageFile.ImageFile:
    if picture[12:16] != b"IHDR" or len(picture) < 33:
        raise _broken("the PNG has no header")
    width, height, depth = struct.unpack(">IIB", picture[16:25])
    _check_size(width, height)
    if depth == 16:
        raise _unsupported("a PNG with 16 bits a channel", "save it with 8 bits a channel")
    image = PngImageFile(io.BytesIO(picture))
    _check_still(image)
    return image


def _open_webp(picture: bytes) -> ImageFile.ImageFile:
    # Pillow's decoder takes memory for the whole canvas on opening, so the size is read here first.
    _check_size(*_webp_size(picture))
    image = WebPImageFile(io.BytesIO(picture))
    _check_still(image)
    return image


def _webp_size(picture: bytes) -> tuple[int, int]:
    """Width and height from the first chunk; https://developers.google.com/speed/webp/docs/riff_container."""
    kind, header = picture[12:16], picture[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(header[4:7], "little"), 1 + int.from_bytes(header[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", header[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise _broken("the WebP has no header")


def _check_size(width: int, height: int) -> None:
    if width * height > PICTURE_PIXELS_MAX:
        raise _too_many_pixels(f"the picture has {width} x {height} pixels")
    if width < 1 or height < 1:
        raise _broken("the header says that it has no pixels")


def _check_still(image: ImageFile.ImageFile) -> None:
    if getattr(image, "is_animated", False):
        raise _unsupported("an animated picture", "send one frame of it as a still picture")


def _resizable(image: Image.Image) -> Image.Image:
    """In a mode whose values can be averaged: no palette, no single bits."""
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("RGB", "L", "RGBA", "LA"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "RGBX":
        return image.convert("RGB")
    raise _unsupported(f"a picture in mode {image.mode}", "save it as plain RGB with 8 bits a channel")


def _flattened(image: Image.Image) -> Image.Image:
    """RGB; what shines through a transparent picture is white, as on paper."""
    if image.mode not in ("RGBA", "LA"):
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _orientation(exif: bytes) -> int:
    """The EXIF orientation 1 to 8, 1 where there is none or the block is damaged: then the picture is as stored."""
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, directory)
        for entry in range(min(count, 256)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", data, directory + 2 + 12 * entry)
            if tag == _EXIF_ORIENTATION:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _broken(detail: str) -> PictureRefused:
    return PictureRefused(
        "PICTURE_BROKEN",
        f"the picture cannot be decoded: {detail[:200]}",
        "check that the whole file was sent; open it and save it again",
    )


def _too_many_pixels(message: str) -> PictureRefused:
    return PictureRefused("TOO_MANY_PIXELS", message, f"send at most {_MEGAPIXELS_MAX} megapixels; scale it down first")


def _unsupported(what: str, hint: str) -> PictureRefused:
    return PictureRefused("PICTURE_UNSUPPORTED", f"this is {what}, which we do not take", hint)
