"""Patterns of an operator's own: a part of regular expressions that can be searched for in linear time, whatever the text is.

Python's own engine does the searching. It tries one way after the other, so what bounds its time is the shape of a pattern: how far it reaches, and
how many ways there are to match one beginning. Both are worked out here when a pattern is read, and one that could take too long is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

LONGEST_PATTERN, LONGEST_MATCH, SHORTEST_MATCH = 500, 200, 2
# Letters that the engine may have to look at from one place of a text: of one pattern, and of all together.
MOST_STEPS, MOST_STEPS_TOGETHER = 2_000, 4_000
_ALLOWED = r"letters, classes such as `[A-Z]`, `\d`, `\w`, `\s` and `.`, groups, alternatives, `?`, `{3}`, `{2,5}` and `\b`"
_CATEGORIES = frozenset("dDwWsS")
_LAYOUT = {"t": "\t", "n": "\n", "r": "\r"}
_COUNT = re.compile(r"\{(\d{1,4})(?:,(\d{0,4}))?\}")
# Beside ASCII and what a pattern names, these stand for all that is written in the world: letters, digits, spaces, marks.
_OTHERS = "\x80\xa0\xaa\xb2\xdf\xe9\u0130\u017f\u0301\u03c9\u0416\u05d0\u0663\u0915\u2003\u212a\u3042\u4e2d\uac00\U0001f600"


class Unfit(ValueError):
    """A pattern cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class _Letter:
    """Something of one letter, as a regular expression."""

    source: str


@dataclass(frozen=True, slots=True)
class _Edge:
    """The beginning or the end of a word."""


@dataclass(frozen=True, slots=True)
class _Row:
    parts: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Node"
    least: int
    most: int
    written: str


_Node = _Letter | _Edge | _Row | _Choice | _Repeat


@dataclass(frozen=True, slots=True)
class _Shape:
    """A part of a pattern: as a regular expression, what it may begin with, its lengths, and whether there are several ways to match one text."""

    source: str
    firsts: frozenset[str]
    shortest: int
    longest: int
    steps: int
    several: bool = False


@dataclass(frozen=True, slots=True)
class OwnPattern:
    """A pattern that is fit. `steps` bounds what looking from one place of a text costs."""

    search: re.Pattern[str]
    steps: int


def own_pattern(text: str, *, match_case: bool = False) -> OwnPattern:
    """Return a pattern that can be searched for in linear time.

    Raises:
        Unfit: it is no pattern, or has a shape that takes too long on some texts.

    """
    if len(text) > LONGEST_PATTERN:
        raise Unfit(f"it is longer than {LONGEST_PATTERN} characters: make several of it")
    node = _Reader(text).whole()
    shape = _Shapes(text, match_case=match_case).of(node, frozenset(), 0)
    if shape.shortest < SHORTEST_MATCH:
        raise Unfit(f"it may match less than {SHORTEST_MATCH} characters, which are everywhere: make it longer")
    if shape.longest > LONGEST_MATCH:
        raise Unfit(f"it may match {shape.longest} characters, and {LONGEST_MATCH} are the most: lower its counts")
    if shape.steps > MOST_STEPS:
        raise Unfit(
            f"there are too many ways to match one text ({shape.steps:,} steps, and {MOST_STEPS:,} are the most): "
            "lower its counts, or make what is repeated different from what follows it"
        )
    return OwnPattern(re.compile(shape.source, _flags(match_case=match_case)), shape.steps)


def _flags(*, match_case: bool) -> re.RegexFlag:
    return re.NOFLAG if match_case else re.IGNORECASE


class _Reader:
    """Reads a pattern."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> _Node:
        """Return all of the pattern."""
        node = self._choice()
        if self._at < len(self._text):
            raise self._wrong("closes no group: write `\\)` for the character")
        return node

    def _wrong(self, why: str, length: int = 1) -> Unfit:
        shown = self._text[self._at : self._at + length]
        return Unfit(f"`{shown}` at character {self._at + 1} {why}")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _choice(self) -> _Node:
        options = [self._row()]
        while self._next() == "|":
            self._at += 1
            options.append(self._row())
        if len(options) > 1 and any(option == _Row(()) for option in options):
            raise Unfit("one of its alternatives is empty: write `(a|b)?` for one that may be missing")
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _row(self) -> _Node:
        parts: list[_Node] = []
        while (letter := self._next()) and letter not in "|)":
            parts.append(self._counted(self._at, self._part(letter)))
        return parts[0] if len(parts) == 1 else _Row(tuple(parts))

    def _part(self, letter: str) -> _Node:
        if letter == "(":
            return self._group()
        if letter == "[":
            return self._class()
        if letter == "\\":
            return self._escaped()
        if letter in "*+?{}^$":
            raise self._wrong(f"is not allowed here; there are {_ALLOWED}. For the character itself, write `\\{letter}`")
        self._at += 1
        return _Letter("." if letter == "." else re.escape(letter))

    def _group(self) -> _Node:
        if self._text.startswith("(?", self._at) and not self._text.startswith("(?:", self._at):
            raise self._wrong(f"begins a kind of group that is not allowed; there are {_ALLOWED}", 3)
        begin = self._at
        self._at += 3 if self._text.startswith("(?:", self._at) else 1
        self._depth += 1
        if self._depth > 10:  # noqa: PLR2004 - deeper than anybody can read
            raise self._wrong("is a group in too many others")
        node = self._choice()
        self._depth -= 1
        if self._next() != ")":
            self._at = begin
            raise self._wrong("begins a group that does not end")
        self._at += 1
        return node

    def _escaped(self) -> _Node:
        letter = self._text[self._at + 1 : self._at + 2]
        if letter == "b":
            self._at += 2
            return _Edge()
        return _Letter(self._escape())

    def _escape(self) -> str:
        """Read what follows a backslash, and return it as a part of a regular expression that a class may have, too."""
        letter = self._text[self._at + 1 : self._at + 2]
        if not letter or (letter.isalnum() and letter not in _CATEGORIES and letter not in _LAYOUT):
            raise self._wrong(f"is not allowed; there are {_ALLOWED}", 2)
        self._at += 2
        return f"\\{letter}" if letter in _CATEGORIES else re.escape(_LAYOUT.get(letter, letter))

    def _class(self) -> _Node:
        begin = self._at
        self._at += 1
        negated = self._next() == "^"
        self._at += negated
        members: list[str] = []
        while (letter := self._next()) != "]":
            if not letter:
                self._at = begin
                raise self._wrong("begins a class that does not end")
            if letter == "[":
                raise self._wrong("stands within a class: write `\\[`")
            members.append(self._member())
        self._at += 1
        if not members:
            raise Unfit(f"`[]` at character {begin + 1} is a class of nothing")
        return _Letter(f"[{'^' if negated else ''}{''.join(members)}]")

    def _member(self) -> str:
        """Read one member of a class: a character, a category, or a range."""
        low = self._character()
        if self._next() != "-" or self._text[self._at + 1 : self._at + 2] in {"]", ""}:
            return low
        self._at += 1
        high = self._character()
        if low[1:] in _CATEGORIES or high[1:] in _CATEGORIES or low[-1] > high[-1]:
            raise Unfit(f"`{low}-{high}` is no range: write a hyphen as `\\-`")
        return f"{low}-{high}"

    def _character(self) -> str:
        if self._next() == "\\":
            return self._escape()
        self._at += 1
        return re.escape(self._text[self._at - 1])

    def _counted(self, begin: int, part: _Node) -> _Node:
        """Return a part with how often it may stand there, if that is said behind it."""
        letter = self._next()
        if letter and letter in "*+":
            raise self._wrong("repeats without an end: say how often at most, as in `{1,20}`")
        if letter == "?":
            self._at += 1
            return self._repeat(begin, part, 0, 1)
        count = _COUNT.match(self._text, self._at) if letter == "{" else None
        if count is None:
            return part
        if count[2] == "":
            raise self._wrong("repeats without an end: say how often at most, as in `{2,20}`", len(count[0]))
        self._at = count.end()
        return self._repeat(begin, part, int(count[1]), int(count[2] or count[1]))

    def _repeat(self, begin: int, part: _Node, least: int, most: int) -> _Node:
        written = self._text[begin : self._at]
        if isinstance(part, _Edge) or most == 0 or least > most:
            raise Unfit(f"`{written}` repeats nothing: give a character, a class or a group, and the lower count first")
        if self._next() in {"?", "+", "*", "{"} and self._next():
            raise self._wrong(f"stands behind a count; there are {_ALLOWED}")
        return _Repeat(part, least, most, written)


class _Shapes:
    """Works out what a pattern costs. `follows` is what may come behind a part, and `rest` what it costs to look at all that comes behind it."""

    def __init__(self, text: str, *, match_case: bool) -> None:
        named = "".join(
            chr(code) for letter in set(text) for code in range(max(ord(letter) - 1, 0), min(ord(letter) + 2, 0x110000))
        )
        self._letters = frozenset(map(chr, range(128))) | frozenset(_OTHERS) | frozenset(named)
        self._flags = _flags(match_case=match_case)
        self._known: dict[str, frozenset[str]] = {}

    def of(self, node: _Node, follows: frozenset[str], rest: int) -> _Shape:
        """Return the shape of a part."""
        if isinstance(node, _Letter):
            return _Shape(node.source, self._matched(node.source), 1, 1, 1 + rest)
        if isinstance(node, _Edge):
            return _Shape(r"\b", frozenset(), 0, 0, 1 + rest)
        if isinstance(node, _Row):
            return self._row(node.parts, follows, rest)
        if isinstance(node, _Choice):
            return self._choice([self.of(option, follows, rest) for option in node.options])
        return self._repeat(node, follows, rest)

    def _matched(self, source: str) -> frozenset[str]:
        if source not in self._known:
            self._known[source] = frozenset(filter(re.compile(source, self._flags).fullmatch, self._letters))
        return self._known[source]

    def _row(self, parts: Sequence[_Node], follows: frozenset[str], rest: int) -> _Shape:
        row = _Shape("", frozenset(), 0, 0, rest)
        for part in reversed(parts):
            behind = row.firsts | (follows if row.shortest == 0 else frozenset())
            one = self.of(part, behind, row.steps)
            row = _Shape(
                one.source + row.source,
                one.firsts | (row.firsts if one.shortest == 0 else frozenset()),
                one.shortest + row.shortest,
                one.longest + row.longest,
                one.steps,
                one.several or row.several,
            )
        return row

    def _choice(self, options: Sequence[_Shape]) -> _Shape:
        if any(option.shortest == 0 for option in options):
            raise Unfit("one of its alternatives may be empty: write `(a|b)?` for one that may be missing")
        firsts = reduce(frozenset.union, (option.firsts for option in options))
        several = len(firsts) < sum(len(option.firsts) for option in options)
        steps = [option.steps for option in options]
        return _Shape(
            f"(?:{'|'.join(option.source for option in options)})",
            firsts,
            min(option.shortest for option in options),
            max(option.longest for option in options),
            len(options) + (sum(steps) if several else max(steps)),
            several or any(option.several for option in options),
        )

    def _repeat(self, node: _Repeat, follows: frozenset[str], rest: int) -> _Shape:
        one = self.of(node.part, frozenset(), 0)
        # What comes behind one of several is the next of them, or what comes behind all.
        one = self.of(node.part, follows | (one.firsts if node.most > 1 else frozenset()), 0)
        if one.shortest == 0:
            raise Unfit(f"`{node.written}` repeats what may be empty: take the count, or what makes it empty, away")
        if one.several and node.most > 1:
            raise Unfit(
                f"`{node.written}` repeats what can match one text in several ways: let its alternatives begin differently"
            )
        several = node.least < node.most and bool(one.firsts & follows)
        tries = node.most - node.least + 1 if several or one.several else 1
        count = f"{{{node.least},{node.most}}}"
        return _Shape(
            f"(?:{one.source}){count}",
            one.firsts,
            one.shortest * node.least,
            one.longest * node.most,
            one.steps * node.most * 2 + tries * (rest + 1),
            several or one.several,
        )
