"""Text that the simulated models speak, and its tokens: pieces of words, so that counts are plausible and need no tokenizer."""

import re
from collections.abc import Iterator

from gateway.sim.dice import Dice

# Every character belongs to exactly one piece, so the pieces of a text join to the text again.
_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")

_OPENINGS = (
    "In short",
    "As far as I can see",
    "To begin with",
    "Put simply",
    "On a closer look",
    "For most cases",
    "If in doubt",
)
_SUBJECTS = (
    "the first answer",
    "a careful reader",
    "the small model",
    "every good plan",
    "the second attempt",
    "a clear question",
)
_VERBS = ("saves", "explains", "improves", "shortens", "settles", "survives", "deserves")
_OBJECTS = (
    "the longest day",
    "a little patience",
    "what came before",
    "most of the work",
    "an honest doubt",
    "the whole journey",
)
_ENDINGS = (
    "when it counts",
    "without much noise",
    "step by step",
    "more often than not",
    "in the end",
    "for less than you think",
)


def pieces(text: str) -> list[str]:
    """Return the tokens of `text`; joined, they are the text."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Return how many tokens `text` has."""
    return sum(1 for _ in _PIECE.finditer(text))


def sentence(dice: Dice) -> str:
    """Return one sentence."""
    opening, subject, verb, thing, ending = (
        choice[dice.below(len(choice))] for choice in (_OPENINGS, _SUBJECTS, _VERBS, _OBJECTS, _ENDINGS)
    )
    return f"{opening}, {subject} {verb} {thing} {ending}."


def speech(dice: Dice, tokens: int | None = None) -> str:
    """Return a few sentences, or exactly as many tokens as were asked for."""
    if tokens is None:
        return " ".join(sentence(dice) for _ in range(2 + dice.below(3)))
    return "".join(_exactly(dice, tokens))


def _exactly(dice: Dice, tokens: int) -> Iterator[str]:
    left = tokens
    while left > 0:
        said = pieces(("" if left == tokens else " ") + sentence(dice))[:left]
        left -= len(said)
        yield from said
