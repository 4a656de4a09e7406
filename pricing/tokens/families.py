"""Which tokenizer stands in for which model's, and by how much the model's own counts more: `data/families.toml`.

Only OpenAI publishes its tokenizers. The others' are estimated by OpenAI's, times a factor measured on recorded calls.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pricing.tokens.ranks import FOLDER

_LONGEST_NAME = 256
_WITHOUT = re.compile(r"^(?:ft:|.*/)+")


@dataclass(frozen=True, slots=True)
class Family:
    """How the tokens of some models are counted. Factors are percent.

    `exact` says that the tokenizer is the model's own, so that a count can bound what will be billed. `tools` is what the provider adds
    to a request with tools. `hides_reasoning` says that the model may think in tokens that are billed and that no answer shows.
    """

    name: str
    encoding: str = "o200k_base"
    input: int = 100
    output: int = 100
    exact: bool = False
    tools: int = 0
    hides_reasoning: bool = False

    def method(self, *, output: bool) -> str:
        """Return how a count came to be, such as `tiktoken:o200k*1.15`."""
        factor = self.output if output else self.input
        name = self.encoding.removesuffix("_base")
        return f"tiktoken:{name}" if factor == 100 else f"tiktoken:{name}*{factor / 100:g}"  # noqa: PLR2004 - percent

    def scaled(self, tokens: int, *, output: bool) -> int:
        """Return a count by the tokenizer as the model would count, rounded up."""
        return _percent(tokens, self.output if output else self.input)


# Open models of other makers: taken to be like those that were measured, a little on the dear side.
UNKNOWN = Family("unknown", input=110, output=110)


@lru_cache(maxsize=1024)
def family_of(model: str | None) -> Family:
    """Return the family of `model`, whatever stands in front of its name: a path, a provider, a region, `ft:`."""
    name = bare_name(model)
    return next((family for pattern, family in _families() if pattern.search(name)), UNKNOWN)


def bare_name(model: str | None) -> str:
    """Return a model's name in lower case, without what stands in front of it."""
    return _WITHOUT.sub("", (model or "")[:_LONGEST_NAME].lower())


@lru_cache(maxsize=1)
def _families() -> tuple[tuple[re.Pattern[str], Family], ...]:
    """Return the table; the first row that matches counts."""
    table = tomllib.loads((FOLDER / "families.toml").read_text("utf-8"))
    return tuple((re.compile(row["models"]), _family(row)) for row in table["family"])


def _family(row: Mapping[str, Any]) -> Family:
    return Family(**{name: value for name, value in row.items() if name not in {"models", "source", "read"}})


def _percent(tokens: int, percent: int) -> int:
    return -(-tokens * percent // 100)
