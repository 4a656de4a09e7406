"""What is checked of an expression when it is written: its names, what evaluating it may cost, and whether its types can ever match."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Protocol

from routing.lexing import Token, is_literal, loops_of, outside
from routing.variables import VARIABLES

MOST_TOKENS, MOST_IN_LOOPS = 600, 120
MOST_SUMS, MOST_SUMS_IN_LOOPS = 20, 4
MOST_PATTERNS, MOST_MAPS = 4, 8
SHOWN = 60
# Names that look like variables to the parser but are types or a namespace of CEL's own.
TYPES = frozenset(
    {"string", "int", "uint", "double", "bool", "bytes", "list", "map", "null_type", "timestamp", "duration", "type"}
)
FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double", "bytes", "timestamp", "duration"}
    | {"type", "dyn"}
    | {f"get{part}" for part in ("FullYear", "Month", "DayOfYear", "DayOfMonth", "Date", "DayOfWeek", "Hours")}
    | {"getMinutes", "getSeconds", "getMilliseconds"}
)
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a text"),
    (bytes, "bytes"),
    (list, "a list"),
    (dict, "a map"),
    (datetime, "a time"),
    (timedelta, "a duration"),
)


class Sampled(Protocol):
    """A variable, as the checks need to know it: its CEL type, and a value of that type."""

    @property
    def type(self) -> str:
        """Return the name of its type."""

    @property
    def sample(self) -> Any:
        """Return a value."""


def check_names(text: str, names: Sequence[str], functions: Sequence[str], variables: Mapping[str, Sampled]) -> None:
    """Refuse names that there are not.

    Raises:
        ValueError: there is one; the message names the nearest.

    """
    for name, known, kind in [
        *((name, variables.keys(), "variable") for name in names),
        *((name, FUNCTIONS, "function") for name in functions),
    ]:
        if name in known:
            continue
        found = re.search(rf"\b{re.escape(name)}\b", text)
        place = f" at character {found.start() + 1}" if found else ""
        if kind == "variable" and name in VARIABLES:
            raise ValueError(
                f"`{name}`{place} is not known here, only of a finished call; known here are: {', '.join(sorted(known))}"
            )
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(sorted(known))}"
        raise ValueError(f"There is no {kind} `{name}`{place}; {advice}")


def check_bounds(tokens: Sequence[Token], variables: Mapping[str, Sampled]) -> None:
    """Refuse what could take long on a single call, whatever is in it.

    Raises:
        ValueError: it is too much; the message says of what.

    """
    loops = loops_of(tokens)
    if len(loops) > 1:
        raise ValueError("An expression may have one `all`, `exists`, `exists_one`, `map` or `filter`, not more.")
    words = [token.text for token in tokens]
    patterns = _patterns(tokens)
    if loops and patterns:
        raise ValueError("`matches` cannot stand beside a loop; use `contains`, `startsWith` or `endsWith` there.")
    # A map that is not asked for a member is copied as often as it is used.
    maps = sum(_is_whole_map(tokens, place, variables) for place in range(len(tokens)))
    for count, most, of in (
        (len(tokens), MOST_IN_LOOPS if loops else MOST_TOKENS, "names, signs and values"),
        (words.count("+"), MOST_SUMS_IN_LOOPS if loops else MOST_SUMS, "`+`"),
        (len(patterns), MOST_PATTERNS, "`matches`"),
        (maps, MOST_MAPS, "uses of all tags at once"),
    ):
        if count > most:
            beside = " beside a loop" if loops and of != "`matches`" else ""
            raise ValueError(f"The expression has {count} {of}; at most {most} are allowed{beside}.")
    for loop in loops:
        if loop.variable in variables:
            raise ValueError(
                f"The loop's variable `{loop.variable}` has the name of a variable that there is; call it something else."
            )
        _check_body(loop.name, loop.body, variables)


def _check_body(name: str, body: Sequence[Token], variables: Mapping[str, Sampled]) -> None:
    if name not in {"map", "filter"}:
        return
    for place, token in enumerate(body):
        if (token.kind == "sign" and is_literal(body, place)) or _is_whole_map(body, place, variables):
            raise ValueError(
                f"What `{name}` does with each member may make no list or map: write texts, numbers, or true and false."
            )
    if sum(token.text == "+" for token in body) > 1:
        raise ValueError(f"What `{name}` does with each member may have one `+`, not more.")


def _is_whole_map(tokens: Sequence[Token], place: int, variables: Mapping[str, Sampled]) -> bool:
    token = tokens[place]
    is_map = token.kind == "name" and token.text in variables and isinstance(variables[token.text].sample, Mapping)
    return is_map and _at(tokens, place - 1) != "." and _at(tokens, place + 1) not in {".", "["}


def _patterns(tokens: Sequence[Token]) -> list[int]:
    """Return where the patterns of `matches` are. A pattern that only a call knows could be any, so it must be written out."""
    found = []
    for place, token in enumerate(tokens):
        if token.kind != "name" or token.text != "matches" or _at(tokens, place + 1) != "(":
            continue
        if _at(tokens, place - 1) != "." or place + 3 >= len(tokens):
            raise ValueError('Write `matches` behind a text: `model.matches("^gpt-4o")`.')
        if tokens[place + 2].kind != "string" or tokens[place + 3].text != ")":
            raise ValueError('The pattern of `matches` must be written out, in quotes: `model.matches("^gpt-4o")`.')
        found.append(place + 2)
    return found


def patterns_of(tokens: Sequence[Token]) -> list[Token]:
    """Return the patterns of `matches`, as they are written."""
    return [tokens[place] for place in _patterns(tokens)]


def check_types(
    text: str, tokens: Sequence[Token], samples: Mapping[str, Any], variables: Mapping[str, Sampled], *, condition: bool
) -> None:
    """Evaluate each part of an expression on its own, with a value of the right type for each variable.

    So a part that can never be evaluated, and a comparison that can never be true, is refused wherever it stands.

    Raises:
        ValueError: there is one; the message shows it.

    """
    checking = _Checking(text, samples, variables)
    parts = list(_parts(tokens, condition=condition))
    for part, as_condition in parts:
        checking.check(part, condition=as_condition, alone=len(parts) == 1)


def _parts(tokens: Sequence[Token], *, condition: bool) -> Iterator[tuple[Sequence[Token], bool]]:
    """Yield what `||`, `&&`, `!` and `? :` put together, and whether it must be true or false."""
    while len(tokens) > 1 and tokens[0].text == "(" and _closes(tokens):
        tokens = tokens[1:-1]
    free = list(outside(tokens))
    asked = next((place for place, token in free if token.text == "?"), None)
    if asked is not None:
        colon = _colon(free, asked)
        yield from _parts(tokens[:asked], condition=True)
        yield from _parts(tokens[asked + 1 : colon], condition=condition)
        yield from _parts(tokens[colon + 1 :], condition=condition)
        return
    for sign in ("||", "&&"):
        places = [place for place, token in free if token.text == sign]
        if places:
            for start, end in zip([-1, *places], [*places, len(tokens)], strict=True):
                yield from _parts(tokens[start + 1 : end], condition=True)
            return
    if tokens and tokens[0].text == "!" and not any(token.text in _COMPARISONS for _, token in free):
        yield from _parts(tokens[1:], condition=True)
    elif tokens:
        yield tokens, condition


def _closes(tokens: Sequence[Token]) -> bool:
    """Return whether the bracket that `tokens` begin with is closed by their last."""
    return [place for place, token in outside(tokens) if token.text in {"(", ")"}] == [0, len(tokens) - 1]


def _colon(free: Sequence[tuple[int, Token]], asked: int) -> int:
    depth = 0
    for place, token in free:
        if place < asked or token.text not in {"?", ":"}:
            continue
        depth += 1 if token.text == "?" else -1
        if depth == 0:
            return place
    return asked + 1  # pragma: no cover - the parser took it, so there is one


class _Checking:
    def __init__(self, text: str, samples: Mapping[str, Any], variables: Mapping[str, Sampled]) -> None:
        self._text = text
        self._samples = dict(samples)
        self._variables = variables

    def check(self, part: Sequence[Token], *, condition: bool, alone: bool) -> None:
        written = self._written(part)
        try:
            value = self._value(written)
        except TypeError:
            shown = "The expression" if alone else f"`{_short(written)}`"
            types = ", ".join(f"{name} is {self._variables[name].type}" for name in _names(part, self._samples))
            raise ValueError(f"{shown} mixes types that cannot be compared or combined ({types or 'constants only'}).") from None
        except (LookupError, ArithmeticError):
            return  # a member or a quotient that depends on the values
        except (RuntimeError, ValueError) as error:
            if "'matches'" in str(error):
                raise ValueError("The pattern of `matches` is not a regular expression that can be used (RE2 syntax).") from None
            return  # a conversion such as int(model) depends on the value
        if condition and not isinstance(value, bool):
            shown = "The expression" if alone else f"`{_short(written)}`"
            raise ValueError(f"{shown} must be true or false; compare its value with something, as in `latency_ms > 500`.")
        self._check_comparison(part, written)

    def _check_comparison(self, part: Sequence[Token], written: str) -> None:
        signs = [(place, token.text) for place, token in outside(part) if token.text in _COMPARISONS]
        if len(signs) != 1 or signs[0][1] not in {"==", "!=", "in"} or any(token.text == "dyn" for token in part):
            return
        place, sign = signs[0]
        try:
            left, right = self._value(self._written(part[:place])), self._value(self._written(part[place + 1 :]))
        except (TypeError, LookupError, ArithmeticError, RuntimeError, ValueError):
            return
        others = [right] if sign != "in" else list(right)
        kinds = {_kind(other) for other in others}
        if left is not None and others and not kinds & {_kind(left), None}:
            told = " or ".join(sorted(kind for kind in kinds if kind))
            raise ValueError(
                f"`{_short(written)}` mixes types: the left side is {_kind(left)}, the right side {told}, so they are never equal."
            )
        for name, value in (*self._texts(part[:place], others), *self._texts(part[place + 1 :], [left])):
            self._check_value(name, value)

    def _texts(self, side: Sequence[Token], others: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """Yield a variable that has but few values, and the texts that it is compared with."""
        if len(side) == 1 and self._few(side[0].text):
            yield from ((side[0].text, other) for other in others if isinstance(other, str))

    def _few(self, name: str) -> tuple[str, ...]:
        """Return all values of a variable, if they are few."""
        values: tuple[str, ...] = getattr(self._variables.get(name), "values", ())
        return values

    def _check_value(self, name: str, value: str) -> None:
        known = self._few(name)
        if value not in known:
            near = get_close_matches(value, known, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(known)}"
            raise ValueError(f"`{name}` is never {_short(value)!r}; {advice}")

    def _value(self, text: str) -> Any:
        # Here and not at the top: see `routing.expressions`.
        import cel  # noqa: PLC0415

        return cel.compile(text).execute(self._samples)

    def _written(self, part: Sequence[Token]) -> str:
        return self._text[part[0].start : part[-1].end]


def _names(part: Sequence[Token], known: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(token.text for token in part if token.kind == "name" and token.text in known))


def _kind(value: Any) -> str | None:
    return next((name for types, name in _KINDS if isinstance(value, types)), None)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _at(tokens: Sequence[Token], place: int) -> str:
    return tokens[place].text if 0 <= place < len(tokens) else ""
