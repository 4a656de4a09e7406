"""What pictures cost in tokens, by the formulas that providers publish: `data/images.toml`."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pricing.tokens.families import bare_name
from pricing.tokens.image_sizes import Size
from pricing.tokens.ranks import FOLDER

# What a picture is taken to be whose size cannot be seen, because only its address or its id was sent.
TYPICAL: Size = (1024, 1024)
LARGEST: Size = (100_000, 37_500)  # this shape takes the most tiles

_FITS, _SHORTER, _TILE = 2048, 768, 512
_LOW_PATCHES = 256
_SMALL, _SQUARE, _OF_SQUARE = 384, 768, 258


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a request; `size` is None where it cannot be seen."""

    size: Size | None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Formula:
    kind: Literal["tile", "patch", "flat", "tiles768"]
    base: int = 0
    tile: int = 0
    patch: int = 32
    most: int = 0
    original: int = 0
    percent: int = 100


def image_tokens(picture: Picture, model: str | None, *, unknown: Size = TYPICAL) -> int:
    """Return what a picture costs with `model`; one whose size cannot be seen as one of the size `unknown`."""
    formula = _formula_of(bare_name(model))
    width, height = picture.size or unknown
    if formula.kind == "flat":
        return formula.base
    if formula.kind == "tiles768":
        small = width <= _SMALL and height <= _SMALL
        return _OF_SQUARE if small else _OF_SQUARE * _squares(width, _SQUARE) * _squares(height, _SQUARE)
    if formula.kind == "patch":
        most = formula.original if formula.original and picture.detail == "original" else formula.most
        most = min(most, _LOW_PATCHES) if picture.detail == "low" else most
        patches = min(_squares(width, formula.patch) * _squares(height, formula.patch), most)
        return -(-patches * formula.percent // 100)
    return formula.base if picture.detail == "low" else formula.base + formula.tile * _tiles(width, height)


def _tiles(width: int, height: int) -> int:
    """Return how many tiles of 512 pixels cover a picture, once it is shrunk as OpenAI does it."""
    longer, shorter = max(width, height), min(width, height)
    if longer > _FITS:
        longer, shorter = _FITS, max(shorter * _FITS // longer, 1)
    if shorter > _SHORTER:
        longer, shorter = longer * _SHORTER // shorter, _SHORTER
    return _squares(longer, _TILE) * _squares(shorter, _TILE)


def _squares(length: int, side: int) -> int:
    return -(-length // side)


@lru_cache(maxsize=256)
def _formula_of(name: str) -> _Formula:
    return next(formula for pattern, formula in _formulas() if pattern.search(name))


@lru_cache(maxsize=1)
def _formulas() -> tuple[tuple[re.Pattern[str], _Formula], ...]:
    table = tomllib.loads((FOLDER / "images.toml").read_text("utf-8"))
    return tuple((re.compile(row["models"]), _row(row)) for row in table["image"])


def _row(row: Mapping[str, Any]) -> _Formula:
    return _Formula(**{name: value for name, value in row.items() if name not in {"models", "source", "read"}})
