"""A requester's picture becomes the model's tensor, or is refused with a reason."""

import io
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.pictures.making import BAD, GOOD, HEIGHT, WIDTH, encoded, jpeg_turned, photo

from gridlight.messages.limits import PICTURE_PIXELS_MAX
from gridlight.workloads.prepare import PictureRefused, Prepared, prepare

SIZE = {"width": 300, "height": 300}

Pixels = np.ndarray[Any, np.dtype[np.int16]]


def prepared(picture: bytes, **parameters: int) -> Prepared:
    return prepare("resize_rgb_uint8", parameters or SIZE, picture)


@cache
def good(name: str) -> bytes:
    return GOOD[name]()


def pixels(result: Prepared) -> Pixels:
    return np.frombuffer(result.tensor, np.uint8).reshape(result.shape[1:]).astype(np.int16)


def plainly_resized(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB").resize((300, 300), Image.Resampling.BILINEAR)).astype(np.int16)


@pytest.mark.parametrize("name", GOOD)
def test_a_legal_picture_becomes_a_tensor_of_the_models_size(name: str) -> None:
    picture = GOOD[name]()
    result = prepared(picture)
    with Image.open(io.BytesIO(picture)) as image:
        assert (result.width, result.height) == image.size
    assert result.shape == (1, 300, 300, 3)
    assert len(result.tensor) == 270_000


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "large jpeg", "png", "png with alpha", "webp"])
def test_a_tensor_shows_what_the_picture_shows(name: str) -> None:
    difference = np.abs(pixels(prepared(GOOD[name]())) - plainly_resized(photo()))
    assert difference.mean() < 3


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_refused_with_its_code_and_what_to_do(name: str) -> None:
    code, make = BAD[name]
    with pytest.raises(PictureRefused) as refused:
        prepared(make())
    assert refused.value.code == code
    assert refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_picture_is_shown_upright_whichever_way_the_camera_was_held(orientation: int, order: str) -> None:
    result = prepared(jpeg_turned(orientation, order))
    assert (result.width, result.height) == (WIDTH, HEIGHT)
    assert np.abs(pixels(result) - plainly_resized(photo())).mean() < 3


def test_a_model_that_is_not_square_gets_upright_pictures_too() -> None:
    result = prepared(jpeg_turned(6), width=200, height=100)
    assert result.shape == (1, 100, 200, 3)
    expected = np.asarray(photo().resize((200, 100), Image.Resampling.BILINEAR)).astype(np.int16)
    assert np.abs(pixels(result) - expected).mean() < 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + orientation.to_bytes(2, "little") + bytes(6)
    assert prepared(encoded(photo(), "JPEG", exif=exif)).width == WIDTH


@given(st.binary(max_size=64))
@settings(max_examples=50, deadline=None)
def test_damaged_exif_leaves_the_picture_as_it_is_stored(junk: bytes) -> None:
    picture = encoded(photo(40, 20), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + junk)
    assert prepared(picture).width in (40, 20)


def test_what_is_transparent_is_shown_on_white() -> None:
    clear = Image.new("RGBA", (50, 50), (10, 20, 30, 0))
    assert set(prepared(encoded(clear, "PNG")).tensor) == {255}


def test_a_grayscale_picture_has_three_equal_channels() -> None:
    shown = pixels(prepared(GOOD["grayscale png"]()))
    assert (shown[..., 0] == shown[..., 1]).all()
    assert (shown[..., 0] == shown[..., 2]).all()


def test_the_same_bytes_give_the_same_tensor() -> None:
    picture = GOOD["jpeg"]()
    assert prepared(picture) == prepared(memoryview(picture).tobytes())


def test_the_largest_legal_picture_is_taken() -> None:
    width = 8_000
    largest = Image.new("L", (width, PICTURE_PIXELS_MAX // width), 77)
    assert set(prepared(encoded(largest, "JPEG")).tensor) == {77}


@given(
    name=st.sampled_from(["jpeg", "progressive jpeg", "palette png", "png with alpha", "webp", "lossless webp"]),
    start=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_are_prepared_or_refused_and_never_anything_else(name: str, start: float, junk: bytes) -> None:
    picture = bytearray(good(name))
    position = int(start * len(picture))
    picture[position : position + len(junk)] = junk
    with suppress(PictureRefused):
        assert len(prepared(bytes(picture)).tensor) == 270_000
