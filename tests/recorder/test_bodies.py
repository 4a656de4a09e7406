import gzip
import json
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recorder.bodies import DEEPEST_JSON, content_type, decoded, exact_json_of, header, json_of, multipart_fields

TEXT = b"The quick brown fox. " * 200
RAW_DEFLATE = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.ZstdCompressor().compress(TEXT),
}


@pytest.mark.parametrize("coding", PACKED)
def test_a_coding_is_undone(coding):
    assert decoded(PACKED[coding], coding) == (TEXT, False)


@pytest.mark.parametrize("coding", PACKED)
def test_a_cut_body_gives_what_came(coding):
    noise = bytes(ord(str(n % 7)) ^ (n * 37 % 251) for n in range(200_000))
    whole = {
        "gzip": gzip.compress,
        "x-gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }[coding](TEXT + noise * 2)

    out, cut = decoded(whole[: len(whole) * 9 // 10], coding)

    assert cut
    assert (TEXT + noise * 2).startswith(out)


def test_a_cut_gzip_gives_all_that_its_bytes_hold():
    noise = bytes(n * n * 7919 % 251 for n in range(50_000))
    packed = gzip.compress(noise)

    out, cut = decoded(packed[:-1], "gzip")

    assert (out, cut) == (noise, True)


def test_a_damaged_body_gives_what_came_before_the_damage():
    inner = zlib.compressobj(wbits=31)
    text = b"".join(b"%d," % (n * n) for n in range(20_000))
    damaged = inner.compress(text) + inner.flush(zlib.Z_FULL_FLUSH) + b"\x07" * 100  # a type of block that does not exist

    out, cut = decoded(damaged, "gzip")

    assert cut
    assert out == text


def test_a_damaged_bomb_is_bounded():
    inner = zlib.compressobj(wbits=31)
    damaged = inner.compress(b"\0" * 2**22) + inner.flush(zlib.Z_FULL_FLUSH) + b"\x07" * 100

    assert decoded(damaged, "gzip", most=10_000)[0] == b"\0" * 10_000


def test_deflate_without_its_header_is_undone():
    inner = zlib.compressobj(wbits=-15)

    assert decoded(inner.compress(TEXT) + inner.flush(), "deflate") == (TEXT, False)


def test_several_codings_are_undone_in_reverse():
    assert decoded(brotli.compress(gzip.compress(TEXT)), "gzip, br") == (TEXT, False)


def test_several_members_are_one_body():
    assert decoded(gzip.compress(b"a") + gzip.compress(b"b"), "gzip") == (b"ab", False)
    assert decoded(zstandard.compress(b"a") + zstandard.compress(b"b"), "zstd") == (b"ab", False)


@pytest.mark.parametrize("coding", ["", "identity", "rot13"])
def test_an_unknown_coding_leaves_the_bytes(coding):
    assert decoded(TEXT, coding) == (TEXT, False)


def test_without_headers_a_packed_body_is_known_by_its_first_bytes():
    assert decoded(PACKED["gzip"], None) == (TEXT, False)
    assert decoded(PACKED["zstd"], None) == (TEXT, False)
    assert decoded(TEXT, None) == (TEXT, False)


def test_what_is_not_packed_as_it_says_stays_as_it_is():
    assert decoded(TEXT, "gzip") == (TEXT, True)


@pytest.mark.parametrize("coding", PACKED)
def test_a_bomb_is_bounded(coding):
    zeros = b"\0" * 2**20
    bomb = {
        "gzip": lambda: gzip.compress(zeros * 20),
        "x-gzip": lambda: gzip.compress(zeros) * 20,
        "deflate": lambda: zlib.compress(zeros * 20),
        "br": lambda: brotli.compress(zeros * 20, quality=3),
        "zstd": lambda: zstandard.compress(zeros * 20),
    }[coding]()

    out, cut = decoded(bomb, coding, most=2**20)

    assert (len(out), cut) == (2**20, True)


def test_a_bomb_in_a_bomb_is_bounded():
    bomb = gzip.compress(gzip.compress(gzip.compress(b"\0" * 2**23)))

    assert len(decoded(bomb, "gzip, gzip, gzip", most=2**16)[0]) <= 2**16


@given(st.binary(max_size=300), st.sampled_from([*PACKED, "gzip, br", None, ","]))
def test_no_bytes_make_unpacking_raise(body, coding):
    out, _ = decoded(body, coding, most=2**16)

    assert len(out) <= 2**16


def test_header_names_match_in_any_casing():
    headers = (("Content-Type", "Text/Event-Stream; charset=utf-8"), ("content-type", "x"))

    assert header(headers, "content-type") == "Text/Event-Stream; charset=utf-8"
    assert content_type(headers) == "text/event-stream"
    assert header(headers, "x-none") is None
    assert content_type(()) == ""


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"a": NaN, "b": Infinity, "c": 1e999}', {"a": None, "b": None, "c": None}),
        (b'{"a": ' + b"9" * 5_000 + b"}", {"a": None}),
        (b'["\xff"]', ["\ufffd"]),
        (b'["\\ud800"]', ["?"]),
        (b'{"a": 1', None),
        (b"", None),
        (b"<html>", None),
        (b"[" * 100_000, None),
        (b"[" * 900 + b"]" * 900, None),
        (b'{"a":' * 500 + b"1" + b"}" * 500, None),
    ],
)
def test_json_is_read_with_patience(body, value):
    assert json_of(body) == value


def test_json_may_be_deep_but_not_too_deep():
    deep, deeper = (b"[" * depth + b"]" * depth for depth in (DEEPEST_JSON, DEEPEST_JSON + 1))

    assert json_of(deep) is not None
    assert json_of(deeper) is None


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ud80019eE-+NaInfity', max_size=60).map(str.encode))
def test_no_bytes_make_json_raise_and_what_is_read_can_be_stored(body):
    json.dumps(json_of(body), ensure_ascii=False).encode()
    exact_json_of(body)


def test_fractions_keep_their_text():
    assert exact_json_of(b'{"cost": 0.10000000000000000555, "n": 3}') == {"cost": "0.10000000000000000555", "n": 3}


FORM_TYPE = 'multipart/form-data; boundary="xyz"'
FORM = (
    b'--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n\x00\xff--\r\n'
    b"--xyz\r\nContent-Disposition: form-data; name=language\r\n\r\nen\r\n--xyz--\r\n"
)


def test_a_form_gives_its_fields_and_the_names_of_its_files():
    assert multipart_fields(FORM, FORM_TYPE) == {"model": "whisper-1", "file": "<a.mp3>", "language": "en"}


def test_a_cut_form_gives_what_began():
    assert multipart_fields(FORM[:200], FORM_TYPE) == {"model": "whisper-1", "file": "<a.mp3>"}


def test_a_long_field_is_bounded():
    body = b'--xyz\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + b"a" * 2**20 + b"\r\n--xyz--"

    assert len(multipart_fields(body, FORM_TYPE)["prompt"]) == 2**16


@given(
    st.binary(max_size=100),
    st.integers(0, len(FORM)),
    st.sampled_from([FORM_TYPE, "multipart/form-data", "", "multipart/x; boundary="]),
)
def test_no_form_raises(noise, at, media_type):
    multipart_fields(FORM[:at] + noise + FORM[at:], media_type)


def test_millions_of_tiny_values_are_refused():
    assert json_of(b"[" + b"{}," * 1_500_000 + b"{}]") is None
    assert len(json_of(b"[" + b"0.125," * 300_000 + b"0]")) == 300_001
