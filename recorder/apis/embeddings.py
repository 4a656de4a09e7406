"""Embeddings and reranking: vectors are counted, not kept.

Source: https://platform.openai.com/docs/api-reference/embeddings.
"""

from typing import Any

from domain.calls import Call
from pricing.usage.openai import usage_of
from recorder.apis.choices import exact_usage, input_of
from recorder.apis.generic import output_of
from recorder.apis.reading import Api, Reading, text_of

_BYTES_PER_NUMBER = 4  # base64 vectors are 32-bit floats


def read(reading: Reading) -> Call:
    """Read an answer with vectors, in OpenAI's shape or Cohere's."""
    answer = reading.answered
    return _call(reading, _without_vectors(answer) if answer else output_of(reading))


def read_ranking(reading: Reading) -> Call:
    """Read a reranking; its results are small and stay."""
    return _call(reading, reading.answered or output_of(reading))


def _call(reading: Reading, output: Any) -> Call:
    answer = reading.answered
    usage = answer.get("usage") or answer.get("meta")
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(answer.get("model")),
        usage=usage_of(usage, exact=exact_usage(reading.text) if b'"cost"' in reading.text else None),
        input=input_of(reading),
        output=output,
        response_id=text_of(answer.get("id")),
    )


def _without_vectors(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with its vectors summed up."""
    rest = {name: value for name, value in answer.items() if name not in {"data", "embeddings"}}
    items = answer.get("data")
    if isinstance(items, list):
        first = items[0].get("embedding") if items and isinstance(items[0], dict) else None
        rest["data"] = {"type": "vectors", "count": len(items), "dimensions": _dimensions(first)}
    by_type = answer.get("embeddings")  # Cohere: a list, or one list for each type of number
    if isinstance(by_type, dict):
        rest["embeddings"] = {kind: _summary(vectors) for kind, vectors in by_type.items()}
    elif isinstance(by_type, list):
        rest["embeddings"] = _summary(by_type)
    return rest


def _summary(vectors: Any) -> Any:
    if not isinstance(vectors, list):
        return None
    return {"type": "vectors", "count": len(vectors), "dimensions": _dimensions(vectors[0] if vectors else None)}


def _dimensions(vector: Any) -> int | None:
    """Return how many numbers a vector has, given as a list or as base64."""
    if isinstance(vector, list):
        return len(vector)
    if isinstance(vector, str):
        return (len(vector) * 3 // 4 - vector[-2:].count("=")) // _BYTES_PER_NUMBER
    return None


APIS: tuple[Api, ...] = (
    Api("embeddings", r"embeddings", read),
    Api("embeddings", r"embed", read),
    Api("rerank", r"rerank", read_ranking),
)
