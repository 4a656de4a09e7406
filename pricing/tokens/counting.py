"""How many tokens texts are, by a tokenizer, in a time that is bounded whatever the texts are.

Texts are cut into slices, since a million spaces in a row make the tokenizer panic and long ones cost more than their length; a cut
costs at most two tokens. Beyond a bound only some slices are counted, spread evenly, and the rest is taken to be like them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

SLICE = 65_536
MOST_CHARACTERS = 8 * SLICE
MOST_SLICES = 20_000
_BYTES_PER_TOKEN = 4


class Encoding(Protocol):
    """A tokenizer (`tiktoken.Encoding`)."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the tokens of `text`; nothing in it is special."""


@dataclass(frozen=True, slots=True)
class Count:
    """So many tokens; `whole` says that every character was counted, and none taken to be like others."""

    tokens: int
    whole: bool


def count(texts: Sequence[str], encoding: Encoding, *, most: int = MOST_CHARACTERS, slice_size: int = SLICE) -> Count:
    """Return how many tokens `texts` are; of more than `most` characters, about how many."""
    characters = sum(map(len, texts))
    step = _step(texts, characters, most, slice_size)
    tokens = counted = 0
    for number, piece in enumerate(_slices(texts, slice_size)):
        if number % step == 0:
            found = _tokens(piece, encoding)
            if found is not None:
                tokens += found
                counted += len(piece)
    if counted == characters:
        return Count(tokens, whole=True)
    if not counted:
        return Count(characters // _BYTES_PER_TOKEN + 1, whole=False)
    return Count(-(-tokens * characters // counted), whole=False)


def _step(texts: Sequence[str], characters: int, most: int, slice_size: int) -> int:
    """Return 1 to count every slice, n to count every n-th."""
    slices = sum(-(-len(text) // slice_size) for text in texts)
    return max(-(-characters // most), -(-slices // MOST_SLICES), 1)


def _slices(texts: Sequence[str], size: int) -> Iterator[str]:
    for text in texts:
        if len(text) <= size:
            if text:
                yield text
            continue
        for start in range(0, len(text), size):
            yield text[start : start + size]


def _tokens(piece: str, encoding: Encoding) -> int | None:
    """Return the tokens of one slice, None if the tokenizer panicked."""
    try:
        return len(encoding.encode_ordinary(piece))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - a panic in Rust is no Exception, and must not end the thread that records
        return None
