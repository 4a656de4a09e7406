"""Pictures cost what the providers' formulas say; the expected counts were worked out by hand."""

import base64
import struct

import pytest

from pricing.tokens.image_sizes import size_of, size_of_base64
from pricing.tokens.images import LARGEST, Picture, image_tokens


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # 1024 x 1024 shrinks to 768 x 768: 4 tiles, 85 + 4 * 170
        ("gpt-4o", (1024, 1024), None, 765),
        # 2048 x 4096 fits 2048 as 1024 x 2048, then 768 x 1536: 2 * 3 tiles, 85 + 6 * 170
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o", (512, 512), None, 255),
        ("gpt-4o", (513, 512), None, 425),
        ("gpt-4.1", (1, 1), None, 255),
        ("gpt-4o-mini", (1024, 1024), None, 2833 + 4 * 5667),
        ("gpt-5", (1024, 1024), None, 70 + 4 * 140),
        ("openai/gpt-5.1", (1024, 1024), None, 70 + 4 * 140),
        ("o3", (1024, 1024), None, 75 + 4 * 150),
        # 32 * 32 patches, times 1.62, rounded up
        ("gpt-4.1-mini", (1024, 1024), None, 1659),
        # more than 1536 patches are 1536
        ("gpt-4.1-mini", (4000, 4000), None, 2489),
        ("gpt-4.1-mini", (4000, 4000), "low", 415),
        ("gpt-6-sol", (1024, 1024), None, 1229),
        ("gpt-6-sol", (9000, 9000), None, 3000),
        ("gpt-6-sol", (9000, 9000), "original", 12_000),
        # 28 px patches: 36 * 36
        ("claude-sonnet-4-5", (1000, 1000), None, 1296),
        ("claude-sonnet-4-5", (3000, 3000), None, 1568),
        ("claude-opus-4-8", (3000, 3000), None, 4784),
        ("gemini-2.5-pro", (384, 384), None, 258),
        ("gemini-2.5-pro", (1000, 1000), None, 4 * 258),
        ("gemini-3-flash-preview", (100, 100), None, 1120),
        ("who-knows", (1024, 1024), None, 765),
    ],
)
def test_a_picture_costs(model, size, detail, tokens):
    assert image_tokens(Picture(size, detail), model) == tokens


def test_a_picture_that_cannot_be_seen_costs_a_typical_one_or_for_a_bound_the_dearest():
    assert image_tokens(Picture(None), "gpt-4o") == 765
    assert image_tokens(Picture(None), "gpt-4o", unknown=LARGEST) == 85 + 8 * 170


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "gpt-6-sol", "o4-mini", "claude-opus-4-8"])
def test_no_shape_costs_more_than_the_dearest(model):
    sides = [1, 100, 511, 512, 513, 768, 769, 1000, 1024, 2047, 2048, 2049, 5000, 50_000, 100_000]
    most = image_tokens(Picture(None, "high"), model, unknown=LARGEST)
    assert max(image_tokens(Picture((width, height), "high"), model) for width in sides for height in sides) <= most


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06" + b"\0" * 64


def jpeg(width, height, before=b""):
    start = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\0" * 9
    return start + before + b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 64


def webp(kind, payload):
    body = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


PICTURES = {
    "png": png(640, 480),
    "jpeg": jpeg(640, 480),
    "jpeg behind a long comment": jpeg(640, 480, b"\xff\xe1" + struct.pack(">H", 30_000) + b"x" * 29_998),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\0" * 32,
    "webp lossy": webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480) + b"\0" * 32),
    "webp lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14) + b"\0" * 32),
    "webp extended": webp(b"VP8X", b"\0" * 4 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little") + b"\0" * 32),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_size_of_a_picture_is_read_from_its_beginning(name):
    text = base64.b64encode(PICTURES[name]).decode()
    assert size_of(PICTURES[name]) == (640, 480)
    assert size_of_base64(text) == (640, 480)
    assert size_of_base64(f"data:image/x;base64,{text}") == (640, 480)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_cut_anywhere_has_its_size_or_none(name):
    assert {size_of(PICTURES[name][:end]) for end in range(80)} <= {None, (640, 480)}


@pytest.mark.parametrize(
    "head",
    [b"", b"%PDF-1.7", png(0, 5), png(2**31, 2**31), b"\xff\xd8" + b"\xff\xe0\0\0" * 10_000, b"\xff\xd8\0", b"RIFF....WEBPVP9 "],
)
def test_what_has_no_size_or_an_impossible_one_has_none(head):
    assert size_of(head + b"\0" * 40) is None


@pytest.mark.parametrize("text", ["", "data:", "data:image/png;base64,", "!!!!", "éééé", "http://x.test/a.png", "AAAA" * 10])
def test_what_is_no_picture_in_base64_has_no_size(text):
    assert size_of_base64(text) is None
