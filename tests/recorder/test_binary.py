"""Binary content in JSON is described, and nothing else is touched."""

import base64

import pytest

from recorder.apis.binary import base64_size, without_binary

BODY = bytes(range(256)) * 2
TEXT = base64.b64encode(BODY).decode()


def binary(size, media_type):
    return {"type": "binary", "bytes": size, "content_type": media_type}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"type": "base64", "media_type": "image/png", "data": TEXT}, {"data": binary(512, "image/png")}),
        (
            {"inlineData": {"mimeType": "audio/wav", "data": TEXT}},
            {"inlineData": {"mimeType": "audio/wav", "data": binary(512, "audio/wav")}},
        ),
        (
            {"inline_data": {"mime_type": "video/mp4", "data": TEXT}},
            {"inline_data": {"mime_type": "video/mp4", "data": binary(512, "video/mp4")}},
        ),
        ({"input_audio": {"format": "mp3", "data": TEXT}}, {"input_audio": {"format": "mp3", "data": binary(512, "audio/mp3")}}),
        ({"url": f"data:image/gif;base64,{TEXT}"}, {"url": binary(512, "image/gif")}),
        ([{"b64_json": TEXT}], [{"b64_json": binary(512, None)}]),
        ({"output_format": "webp", "data": [{"b64_json": TEXT}]}, {"data": [{"b64_json": binary(512, "image/webp")}]}),
    ],
)
def test_base64_is_described_where_the_apis_have_it(value, wanted):
    found = without_binary(value)
    assert found == (wanted if isinstance(wanted, list) else {**value, **wanted})


@pytest.mark.parametrize(
    "value",
    [
        {"data": TEXT},
        {"media_type": "image/png", "data": "c2hvcnQ="},
        {"media_type": "image/png", "data": [1, 2]},
        "data:text/plain," + "x" * 300,
        "data:" + "y" * 300,
        {"format": {"type": "json_schema"}, "data": TEXT},
        [1, None, True, 1.5, "text"],
    ],
)
def test_everything_else_stays(value):
    assert without_binary(value) == value


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 300, 301, 302])
def test_the_size_is_that_of_the_bytes(size):
    assert base64_size(base64.b64encode(bytes(size)).decode()) == size
    url = "data:image/png;base64," + base64.b64encode(bytes(size + 300)).decode()
    assert without_binary(url)["bytes"] == size + 300


def test_what_is_no_text_has_no_size():
    assert base64_size(None) == 0
