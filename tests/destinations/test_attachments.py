import base64
import json
from dataclasses import replace

import pytest

from destinations.attachments import MOST, MOST_BYTES, OTHER, Attachment, attachments_of
from tests.destinations.fixture import fixture_content, fixture_span, hostile, parcel

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
WAV = b"RIFF" + b"\1\2\3\4WAVE" + bytes(range(256)) * 8
PDF = b"%PDF-1.7 " + bytes(range(256)) * 8
ODD = bytes(range(256)) * 8


def b64(data):
    return base64.b64encode(data).decode()


def data_url(data, media_type):
    return f"data:{media_type};base64,{b64(data)}"


def found(request=b"{}", response=b"{}", request_type="application/json", response_type="application/json"):
    """Return the attachments of a call with these bodies; what is no bytes is written as JSON."""
    bodies = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in (request, response)]
    content = replace(
        fixture_content(),
        request=bodies[0],
        response=bodies[1],
        request_headers=(("Content-Type", request_type),),
        response_headers=(("Content-Type", response_type),),
    )
    return attachments_of(parcel(fixture_span(), content))


@pytest.mark.parametrize(
    ("body", "media_type", "data"),
    [
        (
            {"messages": [{"content": [{"type": "image_url", "image_url": {"url": data_url(PNG, "image/png")}}]}]},
            "image/png",
            PNG,
        ),
        ({"input": [{"content": [{"type": "input_image", "image_url": data_url(PNG, "image/webp")}]}]}, "image/webp", PNG),
        (
            {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}}]}]},
            "audio/wav",
            WAV,
        ),
        (
            {"messages": [{"content": [{"type": "file", "file": {"file_data": data_url(PDF, "application/pdf")}}]}]},
            "application/pdf",
            PDF,
        ),
        (
            {
                "messages": [
                    {"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": b64(PNG)}}]}
                ]
            },
            "image/gif",
            PNG,
        ),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/jpeg", "data": b64(PNG)}}]}]}, "image/jpeg", PNG),
        ({"contents": [{"parts": [{"inline_data": {"mime_type": "audio/ogg", "data": b64(WAV)}}]}]}, "audio/ogg", WAV),
        ({"data": [{"b64_json": b64(PNG)}], "output_format": "webp"}, "image/webp", PNG),
        ({"data": [{"b64_json": b64(PNG)}]}, "image/png", PNG),
        ({"predictions": [{"bytesBase64Encoded": b64(PNG), "mimeType": "image/png"}]}, "image/png", PNG),
        ({"messages": [{"content": [{"document": {"format": "pdf", "source": {"bytes": b64(PDF)}}}]}]}, "application/pdf", PDF),
        ({"choices": [{"message": {"audio": {"data": b64(WAV), "transcript": "hi"}}}]}, "audio/wav", WAV),
        ([data_url(ODD, "application/x-mine")], "application/x-mine", ODD),
        ({"data": [{"b64_json": b64(ODD)}]}, OTHER, ODD),
        ({"x": base64.urlsafe_b64encode(ODD).decode(), "data": base64.urlsafe_b64encode(ODD).decode().rstrip("=")}, OTHER, ODD),
    ],
)
def test_what_a_body_holds_in_base64_is_taken_out_as_it_was(body, media_type, data):
    kind = media_type.partition("/")[0]
    assert found(request=body) == [Attachment(f"request-1-{kind}", media_type, data)]
    assert found(response=body) == [Attachment(f"response-1-{kind}", media_type, data)]


def test_what_was_asked_comes_first_and_in_its_order():
    asked = {
        "a": [{"url": data_url(PNG, "image/png")}, {"b": {"url": data_url(PDF, "application/pdf")}}],
        "c": {"url": data_url(WAV, "audio/wav")},
    }
    names = [one.name for one in found(request=asked, response={"data": [{"b64_json": b64(PNG)}]})]
    assert names == ["request-1-image", "request-2-application", "request-3-audio", "response-1-image"]


def form(*parts, boundary="x-boundary"):
    lines = [b"--" + boundary.encode() + b"\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts]
    return b"".join(lines) + b"--" + boundary.encode() + b"--\r\n"


def test_the_files_of_a_form_are_found_and_its_fields_are_none():
    body = form(
        ('Content-Disposition: form-data; name="model"', b"whisper-1"),
        ('Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav', WAV),
        ('Content-Disposition: form-data; name="image[]"; filename="b"', PNG),
    )
    for told in ("multipart/form-data; boundary=x-boundary", 'Multipart/Form-Data; charset=utf-8; boundary="x-boundary"'):
        assert found(request=body, request_type=told) == [
            Attachment("request-1-audio", "audio/wav", WAV),
            Attachment("request-2-image", "image/png", PNG),
        ]


@pytest.mark.parametrize("cut", range(0, 4_000, 97))
def test_a_form_that_was_cut_off_gives_whole_files_only(cut):
    body = form(
        ('Content-Disposition: form-data; name="file"; filename="a"', WAV),
        ('Content-Disposition: form-data; name="f"; filename="b"', PNG),
    )
    for one in found(request=body[:cut], request_type="multipart/form-data; boundary=x-boundary"):
        assert one.data in {WAV, PNG}


def test_an_answer_that_is_a_sound_is_one():
    assert found(response=WAV, response_type="audio/mpeg; rate=24000") == [Attachment("response-1-audio", "audio/mpeg", WAV)]


@pytest.mark.parametrize(
    "body",
    [
        {"url": "https://example.com/p.png"},
        {"data": "x" * 5_000 + "!"},
        {"data": "A" * 4_001},
        {"embedding": b64(ODD)},
        {"url": "data:image/png;base64,short"},
        {"url": "data:text/plain," + "a" * 3_000},
        b'{"data": "' + b"A" * 4_000,
        b"data: " + json.dumps({"b64_json": b64(PNG)}).encode(),
        b"A" * 5_000,
        b"\xff" * 5_000,
        b"[" * 100_000 + b"A" * 2_000,
        b"",
    ],
)
def test_what_is_no_file_gives_none(body):
    assert found(request=body) == []


@pytest.mark.parametrize(
    "media_type", ["image/png\r\nx: y", "image/png\0", "\u00e9/x", "x" * 200, "image", "a/b/c", "", None, 7, {}]
)
def test_a_media_type_cannot_be_more_than_one(media_type):
    [one] = found(request={"inlineData": {"mimeType": media_type, "data": b64(ODD)}})
    assert one.media_type == OTHER


def test_there_are_not_too_many_and_not_too_much():
    many = found(request=[data_url(PNG, "image/png")] * (MOST + 5))
    assert len(many) == MOST
    assert all(one.data == PNG for one in many)
    large, small = b"\0" * (MOST_BYTES - 10), b"\0" * 2_048
    asked = [data_url(one, "image/png") for one in (large, small)]
    assert [one.name for one in found(request=asked)] == ["request-1-image"]
    assert [one.name for one in found(request=[data_url(b"\0" * (MOST_BYTES + 1), "image/png"), asked[1]])] == ["request-2-image"]


def test_without_content_or_with_less_of_it_there_are_none():
    one = parcel(fixture_span(), replace(fixture_content(), request=json.dumps({"url": data_url(PNG, "image/png")}).encode()))
    assert len(attachments_of(one)) == 1
    assert attachments_of(replace(one, content=None)) == []
    assert attachments_of(replace(one, shortened="media")) == []


def test_bears_anything():
    for one in hostile():
        for body in (one.content.request, json.dumps({"data": [{"b64_json": b64(PNG)}], "x": one.content.input}).encode()):
            for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=", "audio/", "\0"):
                content = replace(one.content, request=body, response=body, request_headers=(("content-type", kind),))
                assert isinstance(attachments_of(replace(one, content=content)), list)


@pytest.mark.parametrize("unit", [b"A" * 1_023 + b" ", b"A", b'{"data":"', b"[1,", b'"data:image/png;base64,'])
def test_a_hostile_body_of_megabytes_is_looked_through(unit):
    """What takes the square of its length does not come to an end here."""
    body = b'{"x": "' + unit * (8_000_000 // len(unit)) + b'"}'
    assert found(request=body) == []
