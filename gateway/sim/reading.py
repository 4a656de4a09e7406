"""Read what an app asked out of its JSON, and refuse what a provider would refuse."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.sim.dice import digest_of
from gateway.sim.faults import Refused
from gateway.sim.http import Asked, Json
from gateway.sim.models import Model, UnknownModel, WrongOption, model_named


@dataclass(frozen=True, slots=True)
class Setting:
    """What an answer depends on beside the request: the simulation's seed, and the time now in Unix seconds."""

    seed: int
    now: float

    def digest(self, asked: Asked) -> bytes:
        """Return the key to all chance in the answer to `asked`."""
        return digest_of(self.seed, asked.method.encode(), asked.path.encode(), asked.body)


def document(asked: Asked) -> Json:
    """Return the body as a JSON object.

    Raises:
        Refused: it is not one.
    """
    try:
        found = msgspec.json.decode(asked.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "We could not parse the JSON body of your request. The API expects a JSON payload.")
    return found


def model_of(body: Json) -> Model:
    """Return the simulated model that the body names.

    Raises:
        Refused: no model is named, or one that does not exist.
    """
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refused(400, "you must provide a model parameter")
    try:
        return model_named(name)
    except UnknownModel as error:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Refused(404, message, code="model_not_found") from error
    except WrongOption as error:
        raise Refused(400, str(error), param="model", code="invalid_value") from error


def needed(body: Json, name: str, kinds: type | tuple[type, ...]) -> Any:
    """Return a field that must be there, and be of one of these kinds."""
    if body.get(name) is None:
        raise Refused(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(body[name], kinds):
        raise Refused(400, f"Invalid type for '{name}'.", param=name, code="invalid_type")
    return body[name]


def whole_number(body: Json, *names: str, least: int = 1, most: int = 10_000_000) -> int | None:
    """Return the first of these fields that is set, or None if none is."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Refused(
                400, f"Invalid value for '{name}': it is a whole number from {least} to {most}.", param=name, code="invalid_value"
            )
        return value
    return None


def objects(found: Any) -> list[Json]:
    """Return the JSON objects of a list; of anything else, nothing."""
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or parts of which some have text."""
    if isinstance(content, str):
        return content
    return "\n".join(_texts(objects(content)))


def _texts(parts: Iterable[Json]) -> Iterable[str]:
    for part in parts:
        if isinstance(part.get("text"), str):
            yield part["text"]
        elif "content" in part:
            yield text_of(part["content"])
