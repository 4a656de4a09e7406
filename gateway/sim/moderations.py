"""`POST /v1/moderations` of the simulated upstream: a text is flagged for the categories that it names."""

from typing import Any

from gateway.sim.dice import Dice, digest_of
from gateway.sim.http import Answer, Asked, Json, json_answer
from gateway.sim.reading import Setting, document, needed, objects, text_of

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def moderations(asked: Asked, setting: Setting) -> Answer:
    """Judge each text."""
    body = document(asked)
    results = [_result(text, setting.seed) for text in _inputs(needed(body, "input", (str, list)))]
    model = str(body.get("model") or "omni-moderation-latest")
    return json_answer({"id": f"modr-{Dice(setting.digest(asked)).mark(29)}", "model": model, "results": results})


def _inputs(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    texts = [one for one in found if isinstance(one, str)]
    return texts or [text_of(objects(found))]


def _result(text: str, seed: int) -> Json:
    dice = Dice(digest_of(seed, text.encode("utf-8", "surrogatepass")))
    named = {category: category in text.lower() for category in _CATEGORIES}
    scores = {category: (0.9 if hit else 0.0) + dice.unit() / 100 for category, hit in named.items()}
    applied = {category: ["text"] for category in _CATEGORIES}
    return {
        "flagged": any(named.values()),
        "categories": named,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }
