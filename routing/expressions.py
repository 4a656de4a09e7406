"""Expressions in CEL: checked when they are written, bounded in what they cost, and evaluated on what is known of a call.

One language for routes, rules, searches, alerts and exports. Evaluating costs microseconds whatever an expression says, and whatever a caller put
into his labels: loops, sums and patterns are bounded (`routing.checks`, `routing.patterns`), texts are cut at 8,192 characters, and of the tags only
those are read that an expression names.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Literal, Protocol, TypeVar

from routing.checks import TYPES, Sampled, check_bounds, check_names, check_types, patterns_of
from routing.lexing import Token, keys_named, loops_of, plain_text, tokens_of
from routing.patterns import checked_pattern

LONGEST = 2_000
LONGEST_VALUE, MOST_KEYS = 8_192, 64
SHOWN, SHOWN_KEY = 30, 80
MATCHES, DOES_NOT_MATCH = "matches", "does not match"
_LARGEST = 2**63
_NOTHING = object()
# What `cel` raises where an expression has no value; `LookupError` is a tag, or a place in a list, that is not there.
_FAILURES = (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError)
_PLACE = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_QUOTED = re.compile(r"""[rRbB]{0,2}("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_HINTS = (
    (re.compile(r"(?<![=!<>])=(?!=)"), "Write `==` to compare."),
    (re.compile(r"\band\b", re.IGNORECASE), "Write `&&` for and."),
    (re.compile(r"\bor\b", re.IGNORECASE), "Write `||` for or."),
    (re.compile(r"\bnot\b", re.IGNORECASE), "Write `!` for not."),
    (re.compile(r"[\"']"), "A text needs its closing quote."),
)

_Known_contra = TypeVar("_Known_contra", contravariant=True)
_Known = TypeVar("_Known")


class Readable(Sampled, Protocol[_Known_contra]):
    """A variable that can be read from what is known of a call."""

    @property
    def read(self) -> Callable[[_Known_contra], Any]:
        """Return what reads it."""


class CannotEvaluate(Exception):
    """An expression has no value on this call; the message says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one call: the values of variables, and the same for `cel`."""

    values: dict[str, Any]
    context: Any


class Expression:
    """An expression that was checked. Threads may share it.

    `keys` says for each variable that is a map which of its members the expression asks for, None where that may be any.
    """

    __slots__ = ("keys", "names", "program", "text")

    def __init__(self, text: str, program: Any, names: tuple[str, ...], keys: Mapping[str, frozenset[str] | None]) -> None:
        """Use `compile_expression`."""
        self.text = text
        self.program = program
        self.names = names
        self.keys = keys

    def value(self, facts: Facts) -> Any:
        """Return the value.

        Raises:
            CannotEvaluate: it has none, because something is unknown.

        """
        try:
            return self.program.execute(facts.context)
        except _FAILURES as error:
            raise CannotEvaluate(self._why(error, facts)) from None

    def explain(self, facts: Facts) -> tuple[bool, str]:
        """Return whether a condition is met, and why not where it could not be evaluated."""
        try:
            met = self.program.execute(facts.context) is True
        except _FAILURES as error:
            return False, self._why(error, facts)
        return met, MATCHES if met else DOES_NOT_MATCH

    def _why(self, error: Exception, facts: Facts) -> str:
        if isinstance(error, KeyError):
            return f"there is no tag {str(error)[:SHOWN_KEY]}"
        unknown = [name for name in self.names if _plain(facts.values.get(name)) is None]
        return f"{', '.join(unknown)} is not known" if unknown else "the expression cannot be evaluated on this call"


class Reader(Generic[_Known]):
    """Reads what several expressions name, once for all of them."""

    def __init__(self, variables: Mapping[str, Readable[_Known]], expressions: Iterable[Expression]) -> None:
        """Read for `expressions`; all of their names are in `variables`."""
        keys: dict[str, set[str] | None] = {}
        names: dict[str, None] = {}
        for expression in expressions:
            names |= dict.fromkeys(expression.names)
            for name, wanted in expression.keys.items():
                before = keys.get(name, set())
                keys[name] = None if wanted is None or before is None else before | wanted
        self._plain = tuple((name, variables[name].read) for name in names if name not in keys)
        self._maps = tuple((name, variables[name].read, wanted) for name, wanted in keys.items())

    def facts(self, known: _Known) -> Facts:
        """Return what is known of a call."""
        # Here and not at the top: the package brings a command line of its own and costs 30 MB, which an office that nobody
        # searches and a gate without conditions need not hold.
        import cel  # noqa: PLC0415

        values: dict[str, Any] = {name: _plain(_read(read, known)) for name, read in self._plain}
        for name, read, wanted in self._maps:
            values[name] = _members(_read(read, known), wanted)
        return Facts(values, cel.Context(values))

    def again(self, known: _Known, last: Facts) -> Facts:
        """Return what is known of another call, in the place of what was known of the last one, which is gone then.

        Most of it is as it was: the model, the team, the customer. Giving `cel` a text costs more than evaluating an expression, so
        only what is different is given again. Two threads must not share what this returns.
        """
        try:
            self._renew(known, last)
        except (ArithmeticError, ValueError):
            return self.facts(known)  # something is out of all bounds; what was known of the last call is given up
        return last

    def _renew(self, known: _Known, last: Facts) -> None:
        values, add = last.values, last.context.add_variable
        for name, read in self._plain:
            value = read(known)
            before = values.get(name, _NOTHING)
            if before is not value and (before != value or type(before) is not type(value)):
                values[name] = _NOTHING
                add(name, _plain(value))
                values[name] = value
        for name, read, wanted in self._maps:
            members = _members(read(known), wanted)
            if values.get(name, _NOTHING) != members:
                values[name] = _NOTHING
                add(name, members)
                values[name] = members


def compile_expression(
    text: str, variables: Mapping[str, Sampled], *, result: Literal["condition", "any"] = "condition"
) -> Expression:
    """Return `text` as an expression over `variables`: a condition, or one of any value.

    Raises:
        ValueError: it is none. The message says where, and what would be right.

    """
    # Here and not at the top: see `Reader.facts`.
    import cel  # noqa: PLC0415

    if len(text) > LONGEST:
        raise ValueError(f"The expression has {len(text)} characters; at most {LONGEST} are allowed.")
    if not text.strip():
        raise ValueError('The expression is empty. Write a condition such as `status >= 400 || model == "gpt-4o"`.')
    try:
        program = cel.compile(text)
    except (ValueError, RuntimeError) as error:
        raise ValueError(_syntax_message(text, str(error))) from None
    tokens = tokens_of(text)
    looped = {loop.variable for loop in loops_of(tokens)}
    names = tuple(name for name in program.variables() if name not in looped and (name in variables or name not in TYPES))
    functions = [name for name in program.functions() if name[0] not in "_!@-" and name != "?_"]
    check_bounds(tokens, variables)
    check_names(text, names, functions, variables)
    keys = {name: keys_named(tokens, name) for name in names if isinstance(variables[name].sample, Mapping)}
    text_for_cel = _with_patterns(text, tokens)
    samples = {name: _sample(variables[name].sample, keys.get(name)) for name in names}
    check_types(text_for_cel, tokens_of(text_for_cel), samples, variables, condition=result == "condition")
    return Expression(text, program if text_for_cel == text else cel.compile(text_for_cel), names, keys)


def _with_patterns(text: str, tokens: Sequence[Token]) -> str:
    """Return the expression with its patterns as the engine is to get them."""
    for token in reversed(patterns_of(tokens)):
        pattern = checked_pattern(plain_text(token.text))
        text = f"{text[: token.start]}{_quoted(pattern)}{text[token.end :]}"
    return text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _sample(sample: Any, keys: frozenset[str] | None) -> Any:
    return dict.fromkeys(keys or (), "text") if isinstance(sample, Mapping) else sample


def _read(read: Callable[[_Known], Any], known: _Known) -> Any:
    try:
        return read(known)
    except (ArithmeticError, ValueError):
        return None  # a time or an amount that is out of all bounds: as good as unknown


def _plain(value: Any) -> Any:
    """Return a value that `cel` takes, and that is not too large."""
    if type(value) is str:
        return _text(value)
    if type(value) is int and not -_LARGEST <= value < _LARGEST:
        return None
    return value


def _text(value: str) -> str:
    if len(value) > LONGEST_VALUE:
        value = value[:LONGEST_VALUE]
    # Half surrogates come from JSON; they are no text to `cel`.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def _members(value: Any, wanted: Iterable[str] | None) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    names = islice(value, MOST_KEYS) if wanted is None else (name for name in wanted if name in value)
    return {_text(name): _plain(value[name]) for name in names}


def _syntax_message(text: str, message: str) -> str:
    """Return what is wrong with `text`, and where, from the parser's message about it."""
    found = _PLACE.search(message)
    if found is None:
        return 'The expression cannot be read. Conditions look like `status >= 400 && tags.team == "search"`.'
    lines = text.splitlines() or [""]
    place = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2])
    rest = text[max(place - 2, 0) :]
    if place > len(text):
        return f"The expression ends too early, at character {len(text)}: something is missing there. {_hint(_QUOTED.sub('', text))}".strip()
    return f"The expression cannot be read at character {place}: `{_short(rest.strip())}`. {_hint(_QUOTED.sub('', text))}".strip()


def _hint(bare: str) -> str:
    return next((advice for pattern, advice in _HINTS if pattern.search(bare)), "")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
