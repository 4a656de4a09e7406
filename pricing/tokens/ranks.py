"""The ranks of tokenizers, shipped as data: nothing is fetched at run time.

A `.ranks.xz` file holds the tokens in the order of their ranks, each as one byte of length and its bytes: half the size of the published
`.tiktoken` files. Their hashes, and those of the published files that they were made of, are in `RANKS`. To make one anew:

    python -m pricing.tokens.ranks o200k_base.tiktoken

Source: https://github.com/openai/tiktoken (MIT), `tiktoken_ext/openai_public.py`, read 2026-11-21.
"""

import base64
import hashlib
import lzma
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "data"
_LONGEST_TOKEN = 255
_BEST = 9 | lzma.PRESET_EXTREME


@dataclass(frozen=True, slots=True)
class RanksFile:
    """What a file of ranks must be: SHA-256 of the published file, SHA-256 of its unpacked compact form, number of tokens."""

    published: str
    compact: str
    tokens: int


RANKS = {
    "o200k_base": RanksFile(
        published="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        compact="bac143fe7fe950090c6e4ed9a2f80de5412a92495758b52becbbe5a7eea25ecb",
        tokens=199_998,
    ),
    "cl100k_base": RanksFile(
        published="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        compact="6bfd43f7b31b50b645b3228413547e662af1ae4801e9b192b9791680a71d650c",
        tokens=100_256,
    ),
}


class RanksDamaged(Exception):
    """A file of ranks is not the one that was shipped: counts by it would be wrong."""


def ranks_of(name: str, folder: Path = FOLDER) -> dict[bytes, int]:
    """Return the rank of each token of the encoding `name`.

    Raises:
        RanksDamaged: the file is missing or is not what was shipped.
    """
    expected = RANKS[name]
    path = folder / f"{name}.ranks.xz"
    try:
        compact = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise RanksDamaged(_advice(path)) from error
    if hashlib.sha256(compact).hexdigest() != expected.compact:
        raise RanksDamaged(_advice(path))
    return unpacked(compact)


def packed(published: bytes) -> bytes:
    """Return the compact form of a published `.tiktoken` file: lines of a token in base64 and its rank.

    Raises:
        ValueError: the ranks are not 0, 1, 2, … or a token is too long.
    """
    lines = [line.split() for line in published.splitlines() if line]
    if [int(rank) for _, rank in lines] != list(range(len(lines))):
        raise ValueError("the ranks must count up from 0")
    tokens = [base64.b64decode(token) for token, _ in lines]
    if max(map(len, tokens)) > _LONGEST_TOKEN:
        raise ValueError("a token has more than 255 bytes")
    return b"".join(bytes((len(token),)) + token for token in tokens)


def unpacked(compact: bytes) -> dict[bytes, int]:
    """Return the rank of each token in a compact form."""
    ranks: dict[bytes, int] = {}
    at = 0
    while at < len(compact):
        start = at + 1
        at = start + compact[at]
        ranks[compact[start:at]] = len(ranks)
    return ranks


def published(ranks: dict[bytes, int]) -> bytes:
    """Return ranks as a published `.tiktoken` file has them, byte for byte."""
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def _advice(path: Path) -> str:
    return f"{path.name} is not the file that was shipped with Faregate. Install Faregate again."


def _make(source: Path) -> None:
    """Write the compact form of the published file `source` beside the others, and say its hash."""
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != RANKS[source.stem].published:
        raise RanksDamaged(f"{source} does not have the hash that tiktoken expects of it")
    compact = packed(content)
    (FOLDER / f"{source.stem}.ranks.xz").write_bytes(lzma.compress(compact, preset=_BEST))
    sys.stdout.write(f"{source.stem}: {hashlib.sha256(compact).hexdigest()}\n")


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
