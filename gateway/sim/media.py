"""Images and speech of the simulated upstream: real files, small ones, that follow from the request."""

import base64
import io
import math
import struct
import wave
import zlib
from array import array
from email import policy
from email.parser import BytesParser

from gateway.sim.dice import Dice
from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, json_answer
from gateway.sim.reading import Setting, document, model_of, needed, whole_number
from gateway.sim.words import count, speech

_SIDE = 16
_RATE = 8000
_SAMPLES_PER_TOKEN = _RATE // 4
_MOST_TOKENS = 240
_MOST_IMAGES = 10
_TOKENS_PER_IMAGE = 272
_BYTES_PER_SECOND = 16_000


def images(asked: Asked, setting: Setting) -> Answer:
    """Answer with `n` small pictures of one colour each, as base64."""
    body = document(asked)
    model, prompt = model_of(body), needed(body, "prompt", str)
    dice = Dice(setting.digest(asked))
    pictures = [
        {"b64_json": base64.b64encode(png(dice)).decode()} for _ in range(whole_number(body, "n", most=_MOST_IMAGES) or 1)
    ]
    put_in, got = count(prompt), _TOKENS_PER_IMAGE * len(pictures)
    details = {"text_tokens": put_in, "image_tokens": 0}
    usage = {"input_tokens": put_in, "output_tokens": got, "total_tokens": put_in + got, "input_tokens_details": details}
    whole = {"created": int(setting.now), "data": pictures, "output_format": "png", "usage": usage}
    return json_answer(whole, delay=model.ttft)


def spoken(asked: Asked, setting: Setting) -> Answer:  # noqa: ARG001 - a tone follows from the text alone
    """Answer with a WAV file: one note for each token."""
    body = document(asked)
    model, text = model_of(body), needed(body, "input", str)
    if body.get("response_format", "wav") != "wav":
        raise Refused(400, "The simulated voice speaks WAV only: set 'response_format' to 'wav'.", param="response_format")
    return Answer(200, (("content-type", "audio/wav"),), wav(text), delay=model.ttft)


def heard(asked: Asked, setting: Setting) -> Answer:
    """Answer with the words of a recording: the same recording always says the same."""
    parts = fields_of(asked)
    model = model_of({"model": parts.get("model", b"").decode("utf-8", "replace")})
    if "file" not in parts:
        raise Refused(400, "Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    text = speech(Dice(setting.digest(Asked(asked.method, asked.path, {}, {}, parts["file"]))), model.tokens)
    if parts.get("response_format") == b"text":
        return Answer(200, (("content-type", "text/plain; charset=utf-8"),), text.encode() + b"\n", delay=model.ttft)
    seconds = max(1, len(parts["file"]) // _BYTES_PER_SECOND)
    return json_answer({"text": text, "usage": {"type": "duration", "seconds": seconds}}, delay=model.ttft)


def png(dice: Dice) -> bytes:
    """Return a square picture of one colour."""
    colour = bytes(dice.below(256) for _ in range(3))
    rows = (b"\0" + colour * _SIDE) * _SIDE
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def wav(text: str) -> bytes:
    """Return a quarter of a second of sound for each token of `text`, up to a minute."""
    tone = array("h", (int(8000 * math.sin(2 * math.pi * 440 * at / _RATE)) for at in range(_SAMPLES_PER_TOKEN)))
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(tone.tobytes() * min(count(text), _MOST_TOKENS))
    return made.getvalue()


def fields_of(asked: Asked) -> dict[str, bytes]:
    """Return the fields of a form by name."""
    kind = asked.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refused(400, "Send the recording as multipart/form-data.")
    form = BytesParser(policy=policy.HTTP).parsebytes(b"content-type: " + kind.encode("latin-1") + b"\r\n\r\n" + asked.body)
    found = {}
    for part in form.iter_parts():
        payload = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload
    return found
