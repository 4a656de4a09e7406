"""WebSocket frames: written by an independent library, read by ours."""

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode

from recorder.frames import BINARY, CLOSE, TEXT, Deflate, Message, deflate_of, messages
from tests.recorder.websocket_frames import written


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("size", [0, 1, 3, 125, 126, 127, 65_535, 65_536, 200_001])
def test_every_length_and_mask_is_read(size, mask):
    payload = os.urandom(size)
    raw = Frame(Opcode.BINARY, payload).serialize(mask=mask) * 2
    assert list(messages(raw)) == [Message(BINARY, payload)] * 2


def test_fragments_are_joined_with_control_frames_between_them():
    frames = [
        Frame(Opcode.TEXT, b"one ", fin=False),
        Frame(Opcode.PING, b"?"),
        Frame(Opcode.CONT, b"two ", fin=False),
        Frame(Opcode.PONG, b"!"),
        Frame(Opcode.CONT, b"three"),
        Frame(Opcode.CLOSE, Close(1000, "bye").serialize()),
    ]
    raw = b"".join(frame.serialize(mask=True) for frame in frames)
    assert list(messages(raw)) == [Message(TEXT, b"one two three"), Message(CLOSE, b"\x03\xe8bye")]


@pytest.mark.parametrize("fresh", [False, True])
def test_compressed_messages_are_unpacked(fresh):
    texts = [b"hello hello hello", b"hello again", b"", "äöü".encode() * 1000]
    raw = written(texts, mask=True, extension=PerMessageDeflate(fresh, fresh, 15, 15))
    assert [message.payload for message in messages(raw, Deflate(fresh))] == texts


def test_a_compressed_message_in_fragments_is_unpacked():
    texts = [b"so much to say " * 50, b"and more " * 50]
    raw = written(texts, mask=True, extension=PerMessageDeflate(False, False, 15, 15), fragment=100)
    assert [message.payload for message in messages(raw, Deflate())] == texts


@pytest.mark.parametrize(
    ("header", "server", "client"),
    [
        (None, None, None),
        ("", None, None),
        ("permessage-deflate", Deflate(), Deflate()),
        ("x-other, Permessage-Deflate; server_no_context_takeover; client_max_window_bits=12", Deflate(fresh=True), Deflate()),
        ("permessage-deflate; client_no_context_takeover", Deflate(), Deflate(fresh=True)),
        ("x-webkit-deflate-frame", None, None),
    ],
)
def test_what_was_agreed_about_compression(header, server, client):
    assert (deflate_of(header, server=True), deflate_of(header, server=False)) == (server, client)


def test_a_bomb_is_unpacked_up_to_the_bound_for_all_messages_together():
    packed = zlib.compressobj(wbits=-15)
    bomb = packed.compress(bytes(40 * 2**20)) + packed.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(Frame(Opcode.TEXT, bomb[:-4]).serialize(mask=False))
    frame[0] |= 0x40  # the bit that says it is compressed
    raw = bytes(frame) * 4
    found = list(messages(raw, Deflate(fresh=True)))
    assert sum(len(message.payload) for message in found) == 64 * 2**20
    assert [message.whole for message in found] == [True, False, False, False]


def test_damaged_compression_costs_the_message_and_no_more():
    damaged = Frame(Opcode.TEXT, b"\xff\xff\xff").serialize(mask=False)
    raw = bytes([damaged[0] | 0x40]) + damaged[1:] + Frame(Opcode.TEXT, b"plain").serialize(mask=False)
    assert list(messages(raw, Deflate())) == [Message(TEXT, b"", whole=False), Message(TEXT, b"plain")]


def test_a_head_cut_in_its_length_or_mask_is_no_message():
    raw = Frame(Opcode.TEXT, bytes(300)).serialize(mask=True)
    assert [list(messages(raw[:size])) for size in range(4)] == [[]] * 4


@given(cut=st.integers(0, 400), fresh=st.booleans())
def test_a_stream_cut_anywhere_gives_what_came(cut, fresh):
    texts = [b'{"type": "a", "n": 1}' * 4, b'{"type": "b"}' * 8, b"x" * 130]
    raw = written(texts, mask=True)
    found = list(messages(raw[:cut], Deflate(fresh)))
    whole = [message.payload for message in found if message.whole]
    assert whole == texts[: len(whole)]
    assert len(found) - len(whole) <= 1


@given(st.binary(max_size=600), st.sampled_from([None, Deflate(), Deflate(fresh=True)]))
def test_any_bytes_are_read_without_an_error(raw, deflate):
    assert sum(len(message.payload) for message in messages(raw, deflate)) <= 1100 * max(1, len(raw))
