"""`[redaction.own.NAME]`: kinds of an operator's own, by words and patterns."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from recorder.own_patterns import MOST_STEPS_TOGETHER, Unfit, own_pattern
from recorder.profiles import KINDS, PROFILES, Group, OwnKind

KIND_NAME = r"^[a-z][a-z0-9_]{1,31}$"
MOST_WORDS, SHORTEST_WORD, LONGEST_WORD = 20_000, 2, 200
LARGEST_FILE = 8 * 1024 * 1024
# What masks of labels say.
_LABELS = ("user", "customer")


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = tuple(dict.fromkeys(word for word in map(str.strip, words) if word))
    for number, word in enumerate(cleaned, 1):
        if not SHORTEST_WORD <= len(word) <= LONGEST_WORD or not any(letter.isalnum() for letter in word):
            raise ValueError(
                f"word {number} must have {SHORTEST_WORD} to {LONGEST_WORD} characters, a letter or digit among them"
            )
    return cleaned


class OwnKindSettings(BaseModel):
    """A kind of your own, for what only you know: names of customers and projects, numbers of a form that you gave them. `NAME` stands wherever the name of a kind may."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    words: Annotated[tuple[str, ...], AfterValidator(_words)] = Field(
        default=(), description='Words and names, each as one text: `["Acme Corp", "Blue Harbor"]`.'
    )
    words_file: Path | None = Field(
        default=None, description="A file with more of them, one in each line (UTF-8). It is read when the settings are."
    )
    patterns: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="What has a form, as [a part of regular expressions](redaction.md#kinds-of-your-own) that takes linear time: `['TICKET-\\d{4,8}']`.",
    )
    profile: Group = Field(default="pii", description="The profile that it is in, beside `gdpr` and `strict`.")
    match_case: bool = Field(default=False, description="Whether capitals count.")
    whole_words: bool = Field(default=True, description="Whether `words` are not found within longer ones.")

    @model_validator(mode="after")
    def _fit(self) -> "OwnKindSettings":
        for number, pattern in enumerate(self.patterns, 1):
            try:
                own_pattern(pattern, match_case=self.match_case)
            except Unfit as error:
                raise ValueError(f"pattern {number} cannot be used: {error}") from None
        if not self.all_words() and not self.patterns:
            raise ValueError("it finds nothing: give it words, a words_file or patterns")
        return self

    def all_words(self) -> tuple[str, ...]:
        """Return the words of the settings and of the file."""
        return tuple(dict.fromkeys((*self.words, *_words_in(self.words_file)))) if self.words_file is not None else self.words

    def value(self, name: str) -> OwnKind:
        """Return this kind as the recorder knows it."""
        return OwnKind(name, self.all_words(), self.patterns, self.profile, self.match_case, self.whole_words)


def wrong_own_kinds(kinds: Mapping[str, OwnKindSettings]) -> Iterator[str]:
    """Yield what is wrong with kinds beside each other and those that are built in, each with its place below `redaction`."""
    for name in kinds:
        if name in KINDS or name in PROFILES or name in _LABELS:
            yield f"own.{name}: there is a kind or a profile of this name already; give it another"
    words = {_shown(word, kind) for kind in kinds.values() for word in kind.all_words()}
    if len(words) > MOST_WORDS:
        yield f"own: there are {len(words):,} words, and {MOST_WORDS:,} are the most; what has a common form may be a pattern"
    for name in kinds:
        mask = f" {name.replace('_', ' ')} "
        if any(word in mask for word in words):
            yield f"own.{name}: its name, which stands where something was found, has a word in it that is to be found; give it another"
    steps = sum(own_pattern(pattern, match_case=kind.match_case).steps for kind in kinds.values() for pattern in kind.patterns)
    if steps > MOST_STEPS_TOGETHER:
        yield f"own: all patterns together take too long ({steps:,} steps, {MOST_STEPS_TOGETHER:,} are the most); lower their counts"


def _shown(word: str, kind: OwnKindSettings) -> str:
    """Return how a word would stand in the name of a kind, between spaces where only whole words are found."""
    plain = word.casefold().replace("_", " ")
    return f" {plain} " if kind.whole_words else plain


def _words_in(path: Path) -> tuple[str, ...]:
    """Return the words of a file.

    Raises:
        ValueError: it cannot be read; the message says nothing of what is in it.

    """
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST_FILE else None
        lines = None if data is None else data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"the words_file {path} is not written in UTF-8; save it so") from None
    except OSError as error:
        raise ValueError(f"the words_file {path} cannot be read: {error.strerror or type(error).__name__}") from None
    if lines is None:
        raise ValueError(f"the words_file {path} is larger than {LARGEST_FILE // 1024 // 1024} MiB")
    try:
        return _words(tuple(lines))
    except ValueError as error:
        raise ValueError(f"in the words_file {path}, {error}") from None
