"""Expressions of CEL as tokens: where its names, texts and brackets are, and what belongs to a loop."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
    |(?P<string>
        (?:[rR][bB]?|[bB][rR])(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_OPENING, _CLOSING = "([{", ")]}"


class Token(NamedTuple):
    """One token: `kind` is string, number, name or sign."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.start + len(self.text)


class Loop(NamedTuple):
    """One `all`, `exists`, `exists_one`, `map` or `filter`: its variable, and the tokens of its body, brackets not counted."""

    name: str
    variable: str
    body: Sequence[Token]


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of an expression, spaces and comments left out.

    Raises:
        ValueError: there is something in it that is no token.

    """
    found = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"The expression cannot be read at character {place + 1}: `{text[place : place + 30]}`.")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match[0], place))
        place = match.end()
    return found


def loops_of(tokens: Sequence[Token]) -> list[Loop]:
    """Return the loops of an expression."""
    found = []
    for place, token in enumerate(tokens):
        if token.kind == "name" and token.text in LOOPS and _text(tokens, place - 1) == "." and _text(tokens, place + 1) == "(":
            body = tokens[place + 2 : closing(tokens, place + 1)]
            variable = body[0].text if len(body) > 1 and body[0].kind == "name" and body[1].text == "," else ""
            found.append(Loop(token.text, variable, body[2:] if variable else body))
    return found


def closing(tokens: Sequence[Token], place: int) -> int:
    """Return where the bracket at `place` is closed; the end where it is not."""
    depth = 0
    for index in range(place, len(tokens)):
        if tokens[index].text in _OPENING:
            depth += 1
        elif tokens[index].text in _CLOSING:
            depth -= 1
            if depth == 0:
                return index
    return len(tokens)


def outside(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Yield the tokens that are in no brackets, with their places."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.kind == "sign" and token.text in _CLOSING:
            depth -= 1
        if depth == 0:
            yield place, token
        if token.kind == "sign" and token.text in _OPENING:
            depth += 1


def is_literal(tokens: Sequence[Token], place: int) -> bool:
    """Return whether the `[` or `{` at `place` begins a list or a map, rather than asking for a member."""
    before = tokens[place - 1] if place else None
    if tokens[place].text == "{":
        return True
    if tokens[place].text != "[":
        return False
    return before is None or not (before.kind in {"name", "string"} or before.text in ")]}") or before.text == "in"


def keys_named(tokens: Sequence[Token], name: str) -> frozenset[str] | None:
    """Return which members of the map `name` an expression asks for: `tags.team`, `tags["team"]`, `"team" in tags`; None if it may be any."""
    found = set()
    for place, token in enumerate(tokens):
        if token.kind != "name" or token.text != name or _text(tokens, place - 1) == ".":
            continue
        after, member = _text(tokens, place + 1), tokens[place + 2] if place + 2 < len(tokens) else None
        if after == "." and member is not None and _text(tokens, place + 3) != "(":
            found.add(member.text)
        elif after == "[" and member is not None and member.kind == "string" and _text(tokens, place + 3) == "]":
            found.add(plain_text(member.text))
        elif place > 1 and tokens[place - 1].text == "in" and tokens[place - 2].kind == "string" and after not in {".", "["}:
            found.add(plain_text(tokens[place - 2].text))
        else:
            return None
    return frozenset(found)


def plain_text(literal: str) -> str:
    """Return what a text in quotes stands for."""
    # Here and not at the top: see `routing.expressions`.
    import cel  # noqa: PLC0415

    return str(cel.evaluate(literal))


def _text(tokens: Sequence[Token], place: int) -> str:
    return tokens[place].text if 0 <= place < len(tokens) else ""
