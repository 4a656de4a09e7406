"""Make a JSON value that a JSON schema accepts: tool arguments and structured outputs."""

import math
from typing import Any

from gateway.sim.dice import Dice
from gateway.sim.http import Json

_DEEPEST = 6
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT5M",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "6f1f6f0e-5a0e-4c1e-9a4b-0d7c1a2b3c4d",
}
_NAMES = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "harbour")


class Maker:
    """Makes values for one schema and its definitions.

    Understood: types and lists of types, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `$ref` into the same schema, and the common
    bounds of numbers, strings and arrays. A `pattern` is not: such a value may not match.
    """

    def __init__(self, schema: Json, dice: Dice) -> None:
        self._root = schema
        self._dice = dice

    def value(self) -> Any:
        """Return a value for the whole schema."""
        return self._of(self._root, 0)

    def _of(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return self._word()
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self._dice.below(len(schema["enum"]))]
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self._of(self._branch(schema[union], depth), depth + 1)
        return self._typed(schema, depth)

    def _branch(self, branches: list[Any], depth: int) -> Any:
        """Choose a branch; far down, one that ends, so that recursive schemas do."""
        if depth >= _DEEPEST:
            ends = [
                branch for branch in branches if isinstance(branch, dict) and branch.get("type") not in (None, "object", "array")
            ]
            branches = ends or branches
        return branches[0]

    def _typed(self, schema: Json, depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number" as kind:
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return self._dice.below(2) == 1
            case "null":
                return None
            case _:
                return self._string(schema)

    def _object(self, schema: Json, depth: int) -> Json:
        wanted = set(schema.get("required", ()))
        properties = schema.get("properties", {})
        return {name: self._of(part, depth + 1) for name, part in properties.items() if name in wanted or depth < _DEEPEST // 2}

    def _array(self, schema: Json, depth: int) -> list[Any]:
        first = [self._of(part, depth + 1) for part in schema.get("prefixItems", ())]
        least = schema.get("minItems", 0)
        usual = 0 if depth >= _DEEPEST // 2 or first else 2
        rest = max(least, min(usual, schema.get("maxItems", usual))) - len(first)
        return first + [self._of(schema.get("items", {"type": "string"}), depth + 1) for _ in range(rest)]

    def _number(self, schema: Json, *, whole: bool) -> float:
        """Return a multiple of the step within the bounds, not far above the lower one."""
        step = schema.get("multipleOf", 1 if whole else 0.5)
        least = schema.get("minimum", -math.inf)
        most = schema.get("maximum", math.inf)
        if isinstance(schema.get("exclusiveMinimum"), int | float):
            least = max(least, math.floor(schema["exclusiveMinimum"] / step + 1) * step)
        if isinstance(schema.get("exclusiveMaximum"), int | float):
            most = min(most, math.ceil(schema["exclusiveMaximum"] / step - 1) * step)
        if least == -math.inf:
            least = min(1, most)
        lowest, highest = math.ceil(least / step), math.floor(min(most, least + 40 * step) / step)
        if highest < lowest:
            return float(least)  # no multiple of the step lies between bounds this narrow, but the bound itself does
        number = (lowest + self._dice.below(highest - lowest + 1)) * step
        return int(number) if whole else float(number)

    def _string(self, schema: Json) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        word = self._word().ljust(schema.get("minLength", 0), "x")
        return word[: schema.get("maxLength", len(word))]

    def _word(self) -> str:
        return _NAMES[self._dice.below(len(_NAMES))]

    def _resolved(self, schema: Json) -> Json:
        """Follow `$ref` and join `allOf`, a bounded number of times."""
        for _ in range(_DEEPEST):
            if isinstance(schema.get("$ref"), str):
                schema = self._pointed(schema["$ref"]) | {key: part for key, part in schema.items() if key != "$ref"}
            elif schema.get("allOf"):
                schema = _joined(schema, [self._resolved(part) for part in schema["allOf"] if isinstance(part, dict)])
            else:
                break
        return schema

    def _pointed(self, reference: str) -> Json:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}


def _joined(schema: Json, parts: list[Json]) -> Json:
    whole: Json = {key: part for key, part in schema.items() if key != "allOf"}
    for part in parts:
        properties = {**whole.get("properties", {}), **part.get("properties", {})}
        required = [*whole.get("required", ()), *part.get("required", ())]
        whole = {**part, **whole}
        if properties:
            whole |= {"properties": properties, "required": required}
    return whole


def _type_of(schema: Json) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
    return str(kind[0] if isinstance(kind, list) and kind else kind)
