"""Good and bad pictures, made in memory: what a requester may send, and what must be refused with which code."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 400, 240
"""Of the good pictures, as shown."""


def photo(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Something with a direction: red grows to the right, green downwards, blue is bright in the top left corner."""
    red = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((width, height))
    green = Image.linear_gradient("L").resize((width, height))
    blue = Image.new("L", (width, height), 20)
    blue.paste(240, (0, 0, width // 2, height // 2))
    return Image.merge("RGB", (red, green, blue))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file in memory."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg_turned(orientation: int, order: str = "<") -> bytes:
    """The photo as a camera held in another way stores it, with the EXIF tag that tells how to show it."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = photo() if undo is None else photo().transpose(undo)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + magic + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)
    return encoded(image, "JPEG", quality=95, exif=exif)


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    """A PNG by hand, for what Pillow does not write. Its rows may be fewer than its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def cut(picture: bytes) -> bytes:
    """What arrives of an upload that broke off halfway."""
    return picture[: len(picture) // 2]


def animated(kind: str) -> bytes:
    """Two frames."""
    frames = [photo(40, 40), photo(40, 40).transpose(Image.Transpose.ROTATE_90)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def webp_claiming(width: int, height: int) -> bytes:
    """A few bytes that claim a large canvas."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def jpeg_of_many_scans() -> bytes:
    """A large progressive JPEG with as many start-of-scan markers as an attack would have."""
    small = encoded(photo(), "JPEG", progressive=True)
    start = small.index(b"\xff\xc2")
    frame = struct.pack(">HH", 6000, 6000)
    return small[: start + 5] + frame + small[start + 9 : -2] + b"\xff\xda\0\x08" * 100 + small[-2:]


GOOD: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(photo(), "JPEG", quality=95),
    "progressive jpeg": lambda: encoded(photo(), "JPEG", quality=95, progressive=True),
    "grayscale jpeg": lambda: encoded(photo().convert("L"), "JPEG", quality=95),
    "large jpeg": lambda: encoded(photo(4000, 2400), "JPEG", quality=90),
    "tiny jpeg": lambda: encoded(photo(5, 3), "JPEG"),
    "png": lambda: encoded(photo(), "PNG"),
    "grayscale png": lambda: encoded(photo().convert("L"), "PNG"),
    "black and white png": lambda: encoded(photo().convert("1"), "PNG"),
    "palette png": lambda: encoded(photo().quantize(64), "PNG"),
    "palette png with a transparent colour": lambda: encoded(photo().quantize(64), "PNG", transparency=0),
    "png with a transparent colour": lambda: encoded(photo(), "PNG", transparency=(0, 0, 240)),
    "png with alpha": lambda: encoded(photo().convert("RGBA"), "PNG"),
    "grayscale png with alpha": lambda: encoded(photo().convert("LA"), "PNG"),
    "webp": lambda: encoded(photo(), "WEBP", quality=90),
    "lossless webp": lambda: encoded(photo(), "WEBP", lossless=True),
    "webp with alpha": lambda: encoded(photo().convert("RGBA"), "WEBP"),
    "png with one pixel": lambda: encoded(photo(1, 1), "PNG"),
    "very wide png": lambda: encoded(photo(8000, 2), "PNG"),
}
"""Pictures that must be taken."""

BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("EMPTY_PICTURE", lambda: b""),
    "text": ("NOT_A_PICTURE", lambda: b"Dear network, what is in my photo?"),
    "gif": ("NOT_A_PICTURE", lambda: encoded(photo(), "GIF")),
    "bmp": ("NOT_A_PICTURE", lambda: encoded(photo(), "BMP")),
    "svg": ("NOT_A_PICTURE", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "other riff": ("NOT_A_PICTURE", lambda: b"RIFF\x10\0\0\0WAVEfmt "),
    "too many bytes": ("PICTURE_TOO_LARGE", lambda: encoded(photo(), "JPEG") + bytes(8 * 1024 * 1024)),
    "truncated jpeg": ("PICTURE_BROKEN", lambda: cut(encoded(photo(), "JPEG"))),
    "truncated progressive jpeg": ("PICTURE_BROKEN", lambda: cut(encoded(photo(), "JPEG", progressive=True))),
    "truncated png": ("PICTURE_BROKEN", lambda: cut(encoded(photo(), "PNG"))),
    "truncated webp": ("PICTURE_BROKEN", lambda: cut(encoded(photo(), "WEBP"))),
    "three bytes of jpeg": ("PICTURE_BROKEN", lambda: b"\xff\xd8\xff"),
    "signature of png": ("PICTURE_BROKEN", lambda: b"\x89PNG\r\n\x1a\n"),
    "signature of webp": ("PICTURE_BROKEN", lambda: b"RIFF\x10\0\0\0WEBP"),
    "start of webp": ("PICTURE_BROKEN", lambda: b"RIFF\x10\0\0\0WEBPVP8 \0\0"),
    "png without rows": ("PICTURE_BROKEN", lambda: png(64, 64)),
    "png without pixels": ("PICTURE_BROKEN", lambda: png(0, 64)),
    "png with damaged rows": ("PICTURE_BROKEN", lambda: encoded(photo(), "PNG").replace(b"IDAT", b"IDAT\xff", 1)),
    "decompression bomb": ("TOO_MANY_PIXELS", lambda: png(60_000, 60_000, rows=bytes(1_000_000))),
    "fifty megapixels, jpeg": (
        "TOO_MANY_PIXELS",
        lambda: encoded(Image.new("RGB", (10_000, 5_000), "teal"), "JPEG"),
    ),
    "fifty megapixels, png": ("TOO_MANY_PIXELS", lambda: encoded(Image.new("L", (10_000, 5_000), 9), "PNG")),
    "huge webp": ("TOO_MANY_PIXELS", lambda: webp_claiming(16_383, 16_383)),
    "animated png": ("PICTURE_UNSUPPORTED", lambda: animated("PNG")),
    "animated webp": ("PICTURE_UNSUPPORTED", lambda: animated("WEBP")),
    "16-bit grayscale png": ("PICTURE_UNSUPPORTED", lambda: encoded(Image.new("I;16", (8, 8)), "PNG")),
    "16-bit png": ("PICTURE_UNSUPPORTED", lambda: png(8, 8, depth=16, rows=bytes(8 * (1 + 8 * 6)))),
    "cmyk jpeg": ("PICTURE_UNSUPPORTED", lambda: encoded(photo().convert("CMYK"), "JPEG")),
    "jpeg of many scans": ("PICTURE_UNSUPPORTED", jpeg_of_many_scans),
}
"""Pictures that must be refused, and the code that says why."""
