"""What operators name themselves: words, by the thousand, and patterns.

A text is taken apart into units, and those are looked up in a tree of all words: the time is that of the text, however many words there are. A
unit is a run of letters and digits; in scripts that are written without spaces, and where words may be found within others, it is one letter.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache

from recorder.own_patterns import own_pattern
from recorder.profiles import OwnKind

Found = Iterator[tuple[int, int, str]]
Find = Callable[[str], Found]

# Scripts without spaces between words, and Korean, which writes particles right behind a name.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff"
    r"\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
# Letters that are not seen, and may stand in the middle of a word: they belong to what is before them, and say nothing.
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_PLAIN = str.maketrans("\u2018\u2019\u201b\u2032\u201c\u201d\u2010\u2011\u2013\u2014\u2212", "''''\"\"-----", _UNSEEN)
_ASCII_UNITS = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]")
_ASCII_LETTERS = re.compile(r"\S")
_LOOKED_AT_ONCE = 1 << 20
_LAST_MARK = 0x1FFFF
# A word within JSON that is a text itself: `\nAcme`, `M\u00fcller`.
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_LAYOUT = frozenset("bfnrt")
_END = ""
_Node = dict[str, "_Node"]


class Words:
    """Finds words, without regard to how they are written: composed or not, straight or curly, with one space or several between them."""

    def __init__(self, name: str, words: Iterable[str], *, match_case: bool = False, whole_words: bool = True) -> None:
        self._name = name
        self._match_case = match_case
        self._whole_words = whole_words
        self._tree: _Node = {}
        for word in words:
            self._add(word)

    def find(self, text: str) -> Found:
        """Find the words in `text`, also where it is JSON within JSON."""
        yield from self._found(text)
        if "\\" in text:
            yield from self._found(_ESCAPE.sub(_read, text))

    def _add(self, word: str) -> None:
        node = self._tree
        for unit in self._pattern(word).findall(word):
            said = self._said(unit)
            if said:
                node = node.setdefault(said, {})
        if node is not self._tree:
            node[_END] = {}

    def _found(self, text: str) -> Found:
        if text.isascii() and not self._match_case:
            text = text.lower()
        if self._has_none(text):
            return
        begun: list[tuple[int, _Node]] = []
        for unit in self._pattern(text).finditer(text):
            said = self._said(unit[0])
            if not said:
                continue
            begun.append((unit.start(), self._tree))
            begun = [(begin, below) for begin, node in begun if (below := node.get(said)) is not None]
            for begin, node in begun:
                if _END in node:
                    yield begin, unit.end(), self._name

    def _has_none(self, text: str) -> bool:
        """Return whether no word can begin anywhere, where one look at all units together tells."""
        quick = self._whole_words and len(text) < _LOOKED_AT_ONCE and text.isascii()
        return quick and self._tree.keys().isdisjoint(_ASCII_UNITS.findall(text))

    def _pattern(self, text: str) -> re.Pattern[str]:
        if text.isascii():
            return _ASCII_UNITS if self._whole_words else _ASCII_LETTERS
        return _units() if self._whole_words else _letters()

    def _said(self, unit: str) -> str:
        """Return a unit as it is looked up."""
        if unit.isascii():
            return unit if self._match_case else unit.lower()
        plain = unicodedata.normalize("NFKC", unit.translate(_PLAIN))
        return plain if self._match_case else unicodedata.normalize("NFKC", plain.casefold())


def _read(escape: re.Match[str]) -> str:
    """Return what an escape stands for, as long as it was, so that everything stays in its place."""
    if escape[1]:
        return chr(int(escape[1], 16)) + _UNSEEN[1] * 5
    return "  " if escape[2] in _LAYOUT else " " + escape[2]


@cache
def _marks() -> str:
    """Return the marks that stand above and below letters, as members of a class. Python takes none of them for a part of a word."""
    codes = [code for code in range(_LAST_MARK) if unicodedata.category(chr(code))[0] == "M" or chr(code) in _UNSEEN]
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


@cache
def _units() -> re.Pattern[str]:
    marks = _marks()
    return re.compile(rf"[{_UNSPACED}][{marks}]*|[^\W_{_UNSPACED}]+(?:[{marks}]+[^\W_{_UNSPACED}]*)*|[^\s{marks}]")


@cache
def _letters() -> re.Pattern[str]:
    return re.compile(rf"[^\s{_marks()}][{_marks()}]*")


class Patterns:
    """Finds what patterns describe."""

    def __init__(self, name: str, patterns: Iterable[str], *, match_case: bool = False) -> None:
        self._name = name
        self._searches = [own_pattern(pattern, match_case=match_case).search for pattern in patterns]

    def find(self, text: str) -> Found:
        """Find what each pattern describes."""
        for search in self._searches:
            for found in search.finditer(text):
                yield *found.span(), self._name


@lru_cache(maxsize=64)
def finders_of(kind: OwnKind) -> tuple[Find, ...]:
    """Return what finds a kind of the operator's own. It is kept: ten thousand words are a tree of some megabytes."""
    found: list[Find] = []
    if kind.words:
        found.append(Words(kind.name, kind.words, match_case=kind.match_case, whole_words=kind.whole_words).find)
    if kind.patterns:
        found.append(Patterns(kind.name, kind.patterns, match_case=kind.match_case).find)
    return tuple(found)
