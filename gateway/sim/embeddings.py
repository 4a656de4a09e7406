"""`POST /v1/embeddings` of the simulated upstream: unit vectors that follow from the text."""

import base64
import hashlib
import math
from array import array
from typing import Any

from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, Json, json_answer
from gateway.sim.reading import Setting, document, model_of, needed, whole_number
from gateway.sim.words import count

_USUAL_SIZE = 1536
_LARGEST = 8192
_MIDDLE = 1 << 15


def embeddings(asked: Asked, setting: Setting) -> Answer:
    """Answer one vector for each text: the same text has the same vector in every request."""
    body = document(asked)
    model = model_of(body)
    inputs = _inputs(needed(body, "input", (str, list)))
    size = whole_number(body, "dimensions", most=_LARGEST) or _USUAL_SIZE
    packed = body.get("encoding_format") == "base64"
    data = [_row(index, vector(setting.seed, text, size), packed) for index, text in enumerate(inputs)]
    tokens = sum(count(text) for text in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_answer({"object": "list", "data": data, "model": model.name, "usage": usage}, delay=model.ttft)


def vector(seed: int, text: str, size: int) -> "array[float]":
    """Return `size` numbers of 32 bits, of length one together."""
    noise = array("H", hashlib.shake_256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest(2 * size))
    centred = [number - _MIDDLE + 0.5 for number in noise]
    length = math.sqrt(sum(number * number for number in centred))
    return array("f", (number / length for number in centred))


def _row(index: int, numbers: "array[float]", packed: bool) -> Json:
    embedding: Any = base64.b64encode(numbers.tobytes()).decode() if packed else numbers.tolist()
    return {"object": "embedding", "index": index, "embedding": embedding}


def _inputs(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    if found and all(isinstance(token, int) for token in found):
        return [_as_text(found)]
    inputs = [one if isinstance(one, str) else _as_text(one) for one in found if isinstance(one, str | list)]
    if not inputs:
        raise Refused(400, "Invalid 'input': it needs at least one text.", param="input", code="empty_array")
    return inputs


def _as_text(tokens: list[Any]) -> str:
    return " ".join(str(token) for token in tokens)
