"""Addresses of people and of their machines: e-mail and IP."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

Found = Iterator[tuple[int, int, str]]

_HOST = re.compile(r"@((?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w-])")
_LOCAL = frozenset(".%+-_'")
_LONGEST_LOCAL = 64
_PICTURE = re.compile(r"\d(?:\.\d)?x\.")
_IPV4 = re.compile(r"\d(?<![\w.-]\d)\d{0,2}(?:\.\d{1,3}){3}(?!\w|\.\d|-)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_VERSION = re.compile(
    r"(?i)(?<![a-z])(?:version|ver|build|release|firmware|revision|rev|v|section|§|driver|patch|chapter|clause)[\"']?[.:=]?\s?[\"']?\Z"
)
_BEFORE = 16
_FEWEST = 2


def emails(text: str) -> Found:
    """Find e-mail addresses. `git@host`, `user@host:path`, `icon@2x.png` and users in URLs are none."""
    if "@" not in text:
        return
    for found in _HOST.finditer(text):
        begin = _local_begin(text, found.start())
        if begin == found.start() or _is_no_mail(text, begin, found):
            continue
        yield begin, found.end(), "email"


def _local_begin(text: str, at: int) -> int:
    """Return where the part before the @ begins; `at` where there is none, or one that is too long."""
    begin = at
    while begin > 0 and at - begin <= _LONGEST_LOCAL and (text[begin - 1].isalnum() or text[begin - 1] in _LOCAL):
        begin -= 1
    if at - begin > _LONGEST_LOCAL:
        return at
    while begin < at and text[begin] in "'.":
        begin += 1
    return begin


def _is_no_mail(text: str, begin: int, found: re.Match[str]) -> bool:
    path = text[found.end() : found.end() + 2]
    return (
        text[begin : found.start()] in {"git", "hg"}
        or text[max(begin - 2, 0) : begin] == "//"
        or (len(path) == 2 and path[0] == ":" and (path[1].isalnum() or path[1] in "~/"))  # noqa: PLR2004 - a colon and what follows
        or _PICTURE.match(found[1]) is not None
    )


def addresses(text: str) -> Found:
    """Find IP addresses, but for those that say nothing about anybody (loopback, unspecified), and version numbers."""
    for found in _IPV4.finditer(text):
        if _VERSION.search(text, max(found.start() - _BEFORE, 0), found.start()):
            continue
        try:
            address = IPv4Address(found[0])
        except AddressValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            yield *found.span(), "ip"
    if text.count(":") >= _FEWEST:
        yield from _version_six(text)


def _version_six(text: str) -> Found:
    for found in _IPV6.finditer(text):
        if not any(letter.isdigit() for letter in found[0]) or max(map(len, found[0].split(":"))) <= _FEWEST:
            continue
        try:
            address = IPv6Address(found[0])
        except AddressValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            yield *found.span(), "ip"
