"""A snapshot of genai-prices' list: which provider an address is, and which of its models a name means. Each provider is read when needed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from pricing.compiling import INDEX

PACKAGED = Path(__file__).parent / "data" / "snapshot"
LONGEST_NAME = 256
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Model(msgspec.Struct, frozen=True):
    """A model as the snapshot has it. What it costs is decoded only when somebody asks."""

    id: str
    match: list[Any]
    prices: msgspec.Raw
    context: int | None = None
    variants: msgspec.Raw = msgspec.Raw(b"[]")


class _Entry(msgspec.Struct, frozen=True):
    id: str
    api_pattern: str
    fallback: list[str] = []
    models: int = 0


class _Index(msgspec.Struct, frozen=True):
    version: str
    sha256: str
    providers: list[_Entry]


@dataclass(frozen=True, slots=True)
class _Models:
    """The models of one provider: by their exact names where nothing else decides, and the others in order."""

    all: tuple[Model, ...]
    exact: Mapping[str, int]
    others: tuple[int, ...]


_line = msgspec.json.Decoder(Model).decode
_index = msgspec.json.Decoder(_Index).decode


class Snapshot:
    """Reads the files that `pricing.compiling` made."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        """Take what reads a file by its name; only the index is read now.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no snapshot.
        """
        self._read = read
        index = _index(read(INDEX))
        self.version = index.version
        self.sha256 = index.sha256
        self._providers = {entry.id: entry for entry in index.providers}
        self._patterns = [(re.compile(entry.api_pattern), entry.id) for entry in index.providers]
        self._models: dict[str, _Models] = {}

    @classmethod
    def packaged(cls) -> "Snapshot":
        """Return the one that was installed with us."""
        return cls(lambda name: (PACKAGED / name).read_bytes())

    @classmethod
    def of_files(cls, files: Mapping[str, bytes]) -> "Snapshot":
        """Return a snapshot of files in memory."""
        return cls(files.__getitem__)

    @property
    def ref(self) -> str:
        """What names this snapshot in a price reference."""
        return f"{self.version.replace(' ', '@')}#{self.sha256[:12]}"

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of all providers."""
        return tuple(self._providers)

    def provider_at(self, address: str) -> str | None:
        """Return the provider whose API is at `address` (host, and path where there is one)."""
        url = f"https://{address}/"
        return next((name for pattern, name in self._patterns if pattern.match(url)), None)

    def models(self, provider: str) -> tuple[Model, ...]:
        """Return all models of a provider, none if there is no such provider."""
        return self._loaded(provider).all if provider in self._providers else ()

    def find(self, provider: str, name: str) -> tuple[str, Model] | None:
        """Return the model that `name` means with `provider`, and whose price it is: some providers sell others' models at others' prices.

        A date written `-20251211` is tried as `-2025-12-11` too. Nothing else is guessed.
        """
        if provider not in self._providers or not 0 < len(name) <= LONGEST_NAME:
            return None
        name = name.lower()
        return self._found(provider, name) or self._found_dated(provider, name)

    def _found_dated(self, provider: str, name: str) -> tuple[str, Model] | None:
        dated = _COMPACT_DATE.sub(_dashed, name)
        return self._found(provider, dated) if dated != name else None

    def _found(self, provider: str, name: str) -> tuple[str, Model] | None:
        for seller in (provider, *self._providers[provider].fallback):
            model = self._match(seller, name) if seller in self._providers else None
            if model is not None:
                return seller, model
        return None

    def _match(self, provider: str, name: str) -> Model | None:
        """Return the first model whose condition holds."""
        models = self._loaded(provider)
        first = models.exact.get(name, len(models.all))
        for place in models.others:
            if place > first:
                break
            if _holds(models.all[place].match, name):
                return models.all[place]
        return models.all[first] if first < len(models.all) else None

    def _loaded(self, provider: str) -> _Models:
        models = self._models.get(provider)
        if models is None:
            models = self._models[provider] = _models(self._read(f"{provider}.jsonl"))
        return models


def _models(content: bytes) -> _Models:
    every = tuple(_line(line) for line in content.splitlines())
    exact: dict[str, int] = {}
    others = []
    for place, model in enumerate(every):
        names = _names(model.match)
        if names is None:
            others.append(place)
        for name in names or ():
            exact.setdefault(name, place)
    return _Models(every, exact, tuple(others))


def _names(clause: list[Any]) -> list[str] | None:
    """Return the names that a condition is a plain list of, None if it is more than that."""
    kind, value = clause
    if kind == "equals":
        return [value]
    if kind == "or" and all(inner[0] == "equals" for inner in value):
        return [inner[1] for inner in value]
    return None


def _holds(clause: list[Any], name: str) -> bool:
    kind, value = clause
    if kind == "or":
        return any(_holds(inner, name) for inner in value)
    if kind == "and":
        return all(_holds(inner, name) for inner in value)
    return _TESTS[kind](name, value)


_regex = lru_cache(maxsize=512)(re.compile)

_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": lambda name, text: name == text,
    "starts_with": lambda name, text: name.startswith(text),
    "ends_with": lambda name, text: name.endswith(text),
    "contains": lambda name, text: text in name,
    "regex": lambda name, text: _regex(text).search(name) is not None,
}


def _dashed(found: re.Match[str]) -> str:
    year, month, day = (int(part) for part in found.groups())
    try:
        return f"-{date(year, month, day).isoformat()}"
    except ValueError:
        return found[0]
