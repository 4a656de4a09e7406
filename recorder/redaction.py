"""Redaction: personal data and secrets are masked, hashed or dropped before anything is stored or sent; what was found is counted by kind.

Names and addresses of people need a model to find, and are not promised.
"""

import hmac
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from hashlib import sha256
from typing import Any
from unicodedata import normalize

from recorder.profiles import KINDS, REGIONS, Action, OwnKind
from recorder.recognising.kinds import CONFIDENCES, RANKS, finders
from recorder.recognising.numbers import CARD_DIGITS, is_card
from recorder.recognising.tokens import SECRET_NAMES

DEEPEST = 200
# Redacting can bring two things together that were apart, so a text is looked at again, but not forever.
MOST_ROUNDS = 8
# Only texts from this length on are looked through for base64.
MEDIA = 2048
DROPPED = "[]"
TOO_DEEP = "too deep"
_NOTHING = frozenset({"", DROPPED})
_HASH_DIGITS = 12
# Media: what a data URL holds, and any run of the letters of base64 that no key is as long as.
_BASE64 = re.compile(r";base64,[A-Za-z0-9+/_=-]{64,}+|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{512,}+={0,2}")
_LABELS = ("user", "customer")
_SEPARATORS = re.compile(r"[\s./()-]+")
_KNOWN = frozenset({*KINDS, *_LABELS})
_WRITTEN_IN_MANY_WAYS = frozenset(KINDS) - {"private_key", "jwt", "api_key", "secret", "email", "ip"}
Place = tuple[int, int, str]


class CannotRedact(Exception):
    """What should be redacted could not be looked through, so that nothing of it may be kept or sent. The message has no text of it."""


class Redactor:
    """Redacts texts and JSON values: `kinds` of things, each masked unless `actions` say something else.

    `key` is for hashes: the same thing has the same hash under the same key, and nobody without the key can try values out. Without one,
    what should be hashed is masked. `own` are all kinds that the settings define, also those that are not in `kinds`. Time is linear in the text.
    """

    def __init__(
        self,
        kinds: frozenset[str],
        actions: Mapping[str, Action],
        key: bytes = b"",
        regions: tuple[str, ...] = REGIONS,
        own: tuple[OwnKind, ...] = (),
    ) -> None:
        self.kinds = frozenset(kind for kind in kinds if actions.get(kind) != "keep")
        self._actions = dict(actions)
        self._key = key
        self.regions = regions
        self.own = own
        self.known: Mapping[str, Sequence[Place]] = {}
        self._sure = CONFIDENCES | {kind.name: kind.confidence for kind in own}
        names = [*KINDS, *(kind.name for kind in own)]
        self._ranks = {name: rank for rank, name in enumerate([*RANKS, *names[len(KINDS) :]])}
        self._mask = re.compile(rf"\[(?:(?:{'|'.join((*names, *_LABELS))})(?::[0-9a-f]{{12}})?)?\]")
        self._anywhere, self._in_text = finders(self.kinds, regions, own)

    def knowing(self, known: Mapping[str, Sequence[Place]]) -> "Redactor":
        """Return one that knows of some texts where something is in them, from whoever looked them through before."""
        wiser = copy(self)
        wiser.known = known
        wiser._anywhere = (*self._anywhere, lambda text: iter(known.get(text, ())))  # noqa: SLF001 - a copy of this one
        return wiser

    def finds(self, text: str) -> bool:
        """Return whether there is anything in `text` that would be redacted."""
        return any(True for _ in self._found(text))

    def places(self, text: str) -> list[tuple[int, int, str]]:
        """Return what would be redacted in `text`, in order: where it begins and ends, and its kind."""
        return self._merged(sorted(self._found(text)))

    def text(self, text: str, counts: Counter[str]) -> str:
        """Return `text` without what was recognised, and count that."""
        for _ in range(MOST_ROUNDS):  # pragma: no branch - no text that we know of needs them all
            places = self.places(text)
            if not places:
                break
            parts, place = [], 0
            for begin, end, kind in places:
                parts += [text[place:begin], self._instead(text[begin:end], kind)]
                place = end
                counts[kind] += 1
            text = "".join([*parts, text[place:]])
        return text

    def value(self, value: Any, counts: Counter[str], depth: int = 0) -> Any:
        """Return a JSON value with its texts and names redacted, and what stands under a secret's name as a whole."""
        if isinstance(value, str):
            return self.text(value, counts)
        if depth > DEEPEST and isinstance(value, dict | list | tuple):
            counts[TOO_DEEP] += 1
            return f"[{TOO_DEEP}]"
        if isinstance(value, dict):
            return self._members(value, counts, depth)
        if isinstance(value, list | tuple):
            return [self.value(member, counts, depth + 1) for member in value]
        if "card" in self.kinds and is_card_number(value):
            counts["card"] += 1
            return self._instead(str(value), "card")
        return value

    def whole(self, text: str, kind: str) -> str:
        """Return `text` as a hash that says what it was, or as a mask where there is no key. What is one already stays."""
        return text if self._mask.fullmatch(text) else self._hashed(text, kind)

    def is_secret(self, name: str, member: Any) -> bool:
        """Return whether a member of an object is a secret by its name."""
        return type(member) is str and _is_secret_name(name) and member not in _NOTHING and not self._mask.fullmatch(member)

    def summary(self, counts: Counter[str]) -> str:
        """Return a note on what was redacted and how surely, without any of it."""
        found = [f"{count} {kind}" + self._confidence(kind) for kind, count in sorted(counts.items())]
        return "redacted: " + (", ".join(found) or "nothing found")

    def _confidence(self, kind: str) -> str:
        """Return how sure it is that what was found is one: what the operator named is."""
        return f" ({self._sure[kind]:.2f})" if kind in self._sure else ""

    def _members(self, value: dict[str, Any], counts: Counter[str], depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, member in value.items():
            named = self.text(name, counts)
            if named in members:
                named = f"{named} {len(members)}"
            if "secret" in self.kinds and self.is_secret(name, member):
                counts["secret"] += 1
                members[named] = self._instead(member, "secret")
            else:
                members[named] = self.value(member, counts, depth + 1)
        return members

    def _instead(self, written: str, kind: str) -> str:
        action = self._actions.get(kind, "mask")
        if action == "drop":
            return DROPPED
        return self._hashed(written, kind) if action == "hash" else f"[{kind}]"

    def _hashed(self, written: str, kind: str) -> str:
        if not self._key:
            return f"[{kind}]"
        data = f"{kind}\0{_said(written, kind)}".encode("utf-8", "surrogatepass")
        return f"[{kind}:{hmac.new(self._key, data, sha256).hexdigest()[:_HASH_DIGITS]}]"

    def _found(self, text: str) -> Iterator[Place]:
        """Yield what is found, in no order, but for what is a mask already."""
        places = self._places(text)
        first = next(places, None)
        if first is None:
            return
        masks = [mask.span() for mask in self._mask.finditer(text)] if "[" in text else []
        begins = {place: end for begin, end in masks for place in range(begin, end)}
        for place in (first, *places):
            begin, end, _ = place
            within = begins.get(begin)
            if within is None or (end > within and text[begin] == "["):
                yield place

    def _merged(self, places: list[Place]) -> list[Place]:
        """Join places that overlap, in order; what comes of them is the surest of their kinds."""
        merged: list[Place] = []
        for begin, end, kind in places:
            if merged and begin < merged[-1][1]:
                before, reach, other = merged[-1]
                merged[-1] = (before, max(end, reach), min(kind, other, key=self._ranks.__getitem__))
            else:
                merged.append((begin, end, kind))
        return merged

    def _places(self, text: str) -> Iterator[Place]:
        kinds = self.kinds
        for find in self._anywhere:
            yield from (place for place in find(text) if place[2] in kinds)
        if len(text) < MEDIA:
            for find in self._in_text:
                yield from (place for place in find(text) if place[2] in kinds)
            return
        for offset, part in without_media(text):
            for find in self._in_text:
                yield from ((begin + offset, end + offset, kind) for begin, end, kind in find(part) if kind in kinds)


@lru_cache(maxsize=64)
def redactor(
    kinds: frozenset[str],
    actions: tuple[tuple[str, Action], ...] = (),
    key: bytes = b"",
    regions: tuple[str, ...] = REGIONS,
    own: tuple[OwnKind, ...] = (),
) -> Redactor:
    """Return the redactor for these kinds and actions; there are few of them, and they are used again."""
    return Redactor(kinds, dict(actions), key, regions, own)


def is_card_number(value: Any) -> bool:
    """Return whether a number in JSON is a card's."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**20:
        return False
    digits = str(value)
    return len(digits) in CARD_DIGITS and digits[0] in "23456" and is_card(digits)


@lru_cache(maxsize=4096)
def _is_secret_name(name: str) -> bool:
    return name.lower().replace("-", "_") in SECRET_NAMES


def _said(written: str, kind: str) -> str:
    """Return what is hashed of something: the same, however it is written."""
    if kind in _WRITTEN_IN_MANY_WAYS:
        return _SEPARATORS.sub("", written).upper()
    if kind == "email":
        return written.lower()
    return written if kind in _KNOWN else " ".join(normalize("NFKC", written).split()).casefold()


def without_media(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a long text that are not base64, each with its place."""
    place = 0
    for media in _BASE64.finditer(text):
        yield place, text[place : media.start()]
        place = media.end()
    yield place, text[place:]
