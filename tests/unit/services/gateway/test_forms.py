import pytest

from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.forms import media_type, read_form
from gridlight.services.gateway.uploads import Parameters, parse_upload

BOUNDARY = "frontier"


def form(*fields: tuple[str, bytes], last: bytes = b"--frontier--\r\n") -> bytes:
    parts = [
        b'--frontier\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)
        for name, value in fields
    ]
    return b"".join(parts) + last


def test_a_form_carries_the_picture_and_fields_around_it() -> None:
    body = form(("threshold", b"0.5"), ("image", b"\x00\r\n--front\xff"), ("deadline_ms", b"500"))

    upload = parse_upload("multipart/form-data", {"boundary": BOUNDARY}, body)

    assert upload.picture == b"\x00\r\n--front\xff"
    assert upload.parameters == Parameters(threshold=5_000, deadline_ms=500)


def test_a_file_part_as_curl_sends_it_is_read() -> None:
    head = b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="bus.jpg"\r\n'
    body = head + b"Content-Type: image/jpeg\r\n\r\npicture\r\n--frontier--\r\n"

    assert read_form(BOUNDARY, body) == (b"picture", [])


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("", form(("image", b"x"))),
        ("other", form(("image", b"x"))),
        ("two\nlines", form(("image", b"x"))),
        (BOUNDARY, b""),
        (BOUNDARY, b"junk"),
        (BOUNDARY, form(("picture", b"x"))),
        (BOUNDARY, form(("image", b"x"), ("image", b"y"))),
        (BOUNDARY, form(("image", b"x"), last=b"")),
        (BOUNDARY, form(*[(f"field{index}", b"") for index in range(100)])),
        (BOUNDARY, b"--frontier\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--frontier--\r\n"),
    ],
)
def test_a_broken_form_is_refused(boundary: str, body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_form(boundary, body)
    assert caught.value.code == "BAD_FORM"


def test_an_empty_picture_in_a_form_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        parse_upload("multipart/form-data", {"boundary": BOUNDARY}, form(("image", b"")))
    assert caught.value.code == "EMPTY_BODY"


def test_the_media_type_is_read_in_any_case_with_its_options() -> None:
    assert media_type({b"content-type": b"Multipart/Form-Data; boundary=frontier"}) == (
        "multipart/form-data",
        {"boundary": "frontier"},
    )
    assert media_type({}) == ("", {})
