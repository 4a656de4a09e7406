"""The tokenizers, loaded when one is first needed and dropped when nobody needed it for a while.

Each takes 50 to 70 MB and half a second to load, so that only the office has them, and only after a call that needs them. They are built
here and never registered with tiktoken: a name registered twice breaks every encoding of the process.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pricing.tokens.ranks import FOLDER, ranks_of

if TYPE_CHECKING:
    import tiktoken

IDLE_SECONDS = 900.0

# Source: https://github.com/openai/tiktoken, `tiktoken_ext/openai_public.py` of 0.14.0; a test compares the two.
_O200K_PIECES = (
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
    r"""\p{N}{1,3}""",
    r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
    r"""\s*[\r\n]+""",
    r"""\s+(?!\S)""",
    r"""\s+""",
)
_CL100K = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
)
PATTERNS = {"o200k_base": "|".join(_O200K_PIECES), "cl100k_base": _CL100K}


class Encodings:
    """The tokenizers of one process, from any thread."""

    def __init__(self, folder: Path = FOLDER, now: Callable[[], float] = time.monotonic) -> None:
        """Take the folder of the ranks; nothing is read yet."""
        self._folder = folder
        self._now = now
        self._lock = threading.Lock()
        self._loaded: dict[str, tiktoken.Encoding] = {}
        self._used_at = 0.0

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of those in memory."""
        return tuple(self._loaded)

    def encoding(self, name: str) -> "tiktoken.Encoding":
        """Return the tokenizer `name`, loading it if need be.

        Raises:
            RanksDamaged: its ranks are not what was shipped.
        """
        with self._lock:
            self._used_at = self._now()
            found = self._loaded.get(name)
            if found is None:
                found = self._loaded[name] = self._built(name)
            return found

    def drop_unused(self) -> None:
        """Forget them all if none was used for a quarter of an hour."""
        with self._lock:
            if self._loaded and self._now() - self._used_at > IDLE_SECONDS:
                self._loaded = {}

    def _built(self, name: str) -> "tiktoken.Encoding":
        import tiktoken  # noqa: PLC0415 - only who counts tokens pays for it

        return tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks_of(name, self._folder), special_tokens={})
