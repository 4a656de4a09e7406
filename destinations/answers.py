"""What a destination's answer says besides its status: when to come back, and its first words, without ours."""

import base64
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 3_600.0
LONGEST_EXCERPT = 300
_MASK = "[…]"
_SHORTEST_SECRET = 6
_SHORTEST_PIECE = 12
_BLOCK, _WINDOW = 8, 16
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")
_UNIX_TIME = 1_000_000_000
_UNIX_MS = 1_000_000_000_000
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_RESETS = ("x-ratelimit-reset-after", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")


def retry_after_of(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return for how many seconds a destination asks to be left alone, at most an hour; None if it does not say.

    `retry-after-ms` counts before `retry-after` (seconds, or an HTTP date), and that before the headers that say when a limit is reset: in seconds,
    as a time, or as a duration (`6m0s`). `now` is Unix seconds; by default the machine's clock, unless the answer tells its own in `date`.
    """
    clock = time.time() if now is None else now
    waits = (wait for wait in _waits(headers, clock) if wait is not None)
    wait = next(waits, None)
    return None if wait is None else min(max(wait, 0.0), LONGEST_WAIT)


def _waits(headers: Mapping[str, str], now: float) -> Iterator[float | None]:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    yield None if milliseconds is None else milliseconds / 1000
    yield _wait(headers.get("retry-after", ""), headers, now)
    for name in _RESETS:
        yield _wait(headers.get(name, ""), headers, now)


def _wait(text: str, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that `text` means: a number of them, a Unix time, a date, a duration."""
    text = text.strip()[:64]
    number = _number(text)
    if number is not None:
        if number >= _UNIX_MS:
            return number / 1000 - now
        return number - now if number >= _UNIX_TIME else number
    until = _date(text)
    if until is not None:
        # The destination's own clock is the one that its date is of.
        return until - (_date(headers.get("date", "")) or now)
    found = _DURATION.fullmatch(text) if text else None
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,18}(?:\.\d{1,9})?", text.strip(), re.ASCII) else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def excerpt_of(answer: bytes, sent: bytes, headers: Mapping[str, str], url: str = "") -> str:
    """Return the first words of an answer on one line, at most 300 characters, with what it repeats of our request masked.

    That is each value of a header, with or without a word such as `Bearer` in front, what is in a `Basic` one, each long piece of the URL (that of a
    channel is a credential), and each run of 16 characters or more that is in the body.
    """
    text = _BLANK.sub(" ", answer[: 4 * LONGEST_EXCERPT].decode("utf-8", "replace")).strip()
    for secret in sorted(_credentials(headers) | _long_pieces(url), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return _without_echo(text[:LONGEST_EXCERPT], sent)


def _credentials(headers: Mapping[str, str]) -> set[str]:
    parts = {part for value in headers.values() for part in (value, *re.split(r"[\s=,;]+", value), *_basic(value))}
    return {part for part in parts if len(part) >= _SHORTEST_SECRET}


def _basic(value: str) -> list[str]:
    """Return the name and the password of a `Basic` header."""
    scheme, _, pair = value.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        return base64.b64decode(pair).decode().split(":", 1)
    except ValueError:
        return []


def _long_pieces(url: str) -> set[str]:
    pieces = re.split(r"[/?&=#]+", url.partition("://")[2])[1:]
    return {piece for piece in pieces if len(piece) >= _SHORTEST_PIECE}


def _without_echo(text: str, sent: bytes) -> str:
    """Return `text` with the runs masked that are in `sent` too. Few searches: each run of 15 characters holds a whole block of 8."""
    masked = [False] * len(text)
    for start in range(0, len(text) - _BLOCK + 1, _BLOCK):
        if text[start : start + _BLOCK].encode() in sent:
            _mask_around(text, start, sent, masked)
    kept = "".join("\0" if hidden else letter for letter, hidden in zip(text, masked, strict=True))
    return re.sub("\0+", _MASK, kept)


def _mask_around(text: str, start: int, sent: bytes, masked: list[bool]) -> None:
    first = max(0, start + _BLOCK - _WINDOW)
    for begin in range(first, start + 1):
        end = begin + _WINDOW
        if end <= len(text) and text[begin:end].encode() in sent:
            masked[begin:end] = [True] * _WINDOW
