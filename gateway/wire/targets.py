"""The request's target: `/@labels` in front, then `/v1/...` or `/{upstream}/...`.

The raw bytes are looked at, never a decoded form: what is compared is what is sent on.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from domain.errors import InvalidRequest

LABELS = b"/@"
LONGEST_KEPT = 512
_SUSPICIOUS = re.compile(rb"%2e|%2f|%5c|%00|\\|//|[\x00-\x20\x7f]|/\.\.?(?:/|$)", re.IGNORECASE)
_NATIVE = re.compile(rb"/(?!api/|otlp/)[A-Za-z0-9_-]{1,64}/v1(?:beta)?(?:/|$)")
_VISIBLE = re.compile(rb"[!-~\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request wants to go.

    `upstream` is None for `/v1/...`. `path` is the native path with its query, without labels and upstream: it begins with `/`.
    `labels` are the pairs of the path labels, decoded.
    """

    upstream: str | None
    path: bytes
    labels: tuple[tuple[str, str], ...] = ()


def checked_target(target: bytes) -> None:
    """Refuse a target whose path could be read in two ways.

    Raises:
        InvalidRequest: it is not an absolute path, or has dot segments, encoded slashes or dots, empty segments or control characters.
    """
    if len(target) <= LONGEST_KEPT:
        _checked_and_kept(target)
    else:
        _check(target)


def is_proxied(target: bytes, upstreams: Container[bytes]) -> bool:
    """Return whether a checked target belongs to the proxied API.

    So does the native path of an upstream that there is not (`/opneai/v1/x`): whoever calls it should hear that, not that he is not signed in.
    """
    if target.startswith(LABELS):
        _, target = _labels_and_rest(target)
    path = target.partition(b"?")[0]
    first = path.split(b"/", 2)
    return len(first) > 1 and (first[1] == b"v1" or first[1] in upstreams or _NATIVE.match(path) is not None)


def place_of(target: bytes) -> Place:
    """Return where a checked target that `is_proxied` wants to go."""
    return _place_kept(target) if len(target) <= LONGEST_KEPT else _place(target)


def _check(target: bytes) -> None:
    if not target.startswith(b"/"):
        raise InvalidRequest("The request's target must be a path, such as /v1/chat/completions.")
    if target.startswith(LABELS):
        _, target = _labels_and_rest(target)
    path, _, query = target.partition(b"?")
    if _SUSPICIOUS.search(path) or b"#" in target or not _VISIBLE.fullmatch(query):
        raise InvalidRequest("The path has `..`, `//`, a backslash, or an encoded dot or slash in it. Send it in its plain form.")


def _labels_and_rest(target: bytes) -> tuple[bytes, bytes]:
    """Return the labels' text and the target behind it. A question mark ends the path, also within the labels."""
    path, separator, query = target.partition(b"?")
    end = path.find(b"/", len(LABELS))
    if end < 0:
        end = len(path)
    return path[len(LABELS) : end], (path[end:] or b"/") + separator + query


def _place(target: bytes) -> Place:
    labels: tuple[tuple[str, str], ...] = ()
    if target.startswith(LABELS):
        text, target = _labels_and_rest(target)
        labels = _pairs(text)
    first = target[1:].partition(b"/")[0].partition(b"?")[0]
    if first == b"v1":
        return Place(None, target, labels)
    path = target[1 + len(first) :]
    return Place(first.decode("ascii", "replace"), path if path.startswith(b"/") else b"/" + path, labels)


def _pairs(text: bytes) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.decode("utf-8", "replace").split(","):
        name, separator, value = part.partition("=")
        if separator and name:
            pairs.append((unquote(name), unquote(value)))
    return tuple(pairs)


_checked_and_kept = lru_cache(maxsize=1024)(_check)
_place_kept = lru_cache(maxsize=1024)(_place)
