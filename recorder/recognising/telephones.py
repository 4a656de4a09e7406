"""Telephone numbers, by Google's metadata of every country's numbering plan (`phonenumbers`).

The metadata is loaded when the first number is looked at, and in the office only.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from recorder.recognising.context import in_front

Found = Iterator[tuple[int, int, str]]


_RUN = re.compile(r"[0-9](?:\)?[ ./\u00a0\u2011\u2013-]{0,3}\(?[0-9]){6,24}")
_SEPARATORS = re.compile(r"[^0-9]+")
_WORD = re.compile(
    r"(?i)(?<![^\W_])(?:tel|tél|téléphone|telefon\w*|telephone|phone|ph|mobile?|móvil|mobil\w*|cell\w*|handy\w*|call\w*|ring|fax|whatsapp|sms|text me|dial|"
    r"reach me|teléfono|téléphon\w*|telefone\w*|celular|portable|appele\w*|appelez|llam\w*|ruf\w*|anruf\w*|bel|bellen|tel[ée]foon\w*|dzwo\w*|kom|"
    r"komórk\w*|numer telefonu|ligue|contact|hotline|helpline|cellulare|chiama\w*|telefonnummer|nummer|rückruf|durchwahl|number is|msisdn)(?![^\W_])"
)
_IS_NOT = re.compile(
    r"(?i)(?:order|invoice|ticket|version|build|id|ref\w*|sku|isbn|issn|serial|account|acct|tracking|port|pid|line|page|commit|case|"
    r"bestell\w*|rechnung\w*|commande|pedido|factura|facture|numéro de suivi|sendung\w*|zamówieni\w*|offset|bytes|size|size of|seq|row|code|doi|"
    r"part|model|batch|lot|claim|policy)[ .:#=_-]{0,3}(?:no|nr|number|n°|num|nummer)?[ .:#=]{0,3}\Z"
)
_NEAR = 40
_DATE = re.compile(r"(?:19|20)\d\d[-./ ][01]?\d[-./ ][0-3]?\d|[0-3]?\d[-./][01]?\d[-./](?:19|20)\d\d|[01]?\d/[0-3]?\d/\d\d")
_TIMES = re.compile(r"[0-2]?\d[ :.]?[0-5]\d ?[-\u2013] ?[0-2]?\d[ :.]?[0-5]\d")
_NANP = re.compile(r"(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}")
# Without a word or groups, only a mobile number with its trunk 0 is one.
_BARE = re.compile(r"0[1-9]\d{8,9}")
_FEWEST, _MOST = 7, 15
_FEWEST_GROUPS = 2


def finder(regions: tuple[str, ...]) -> Callable[[str], Found]:
    """Return what finds numbers in international form anywhere, and national numbers of `regions` (ISO 3166 codes)."""

    def find(text: str) -> Found:
        for run in _RUN.finditer(text):
            begin, end = _ends(text, *run.span())
            if begin < end and _is_phone(text, begin, end, regions):
                yield begin, end, "phone"

    return find


def _ends(text: str, begin: int, end: int) -> tuple[int, int]:
    """Return where a number really begins, with its + and bracket; an empty place where it is a part of something else."""
    while begin > 0 and text[begin - 1] in "(+":
        begin -= 1
    before, after = text[begin - 1 : begin], text[end : end + 1]
    if (before and (before.isalnum() or before in "_.$€£%#-/,@=")) and not (before in "=,/" and text[begin] in "+("):
        return 0, 0
    if after and (after.isalnum() or after in "_%€$@"):
        return 0, 0
    if text[end : end + 2] and after in ".,:-" and text[end + 1 : end + 2].isdigit():
        return 0, 0
    return begin, end


def _is_phone(text: str, begin: int, end: int, regions: tuple[str, ...]) -> bool:
    written = text[begin:end]
    digits = _SEPARATORS.sub("", written)
    if not _FEWEST <= len(digits) <= _MOST:
        return False
    if "+" in written[:2]:
        return _is_possible("+" + digits)
    before = in_front(text, begin, _NEAR)
    if _is_something_else(written) or _IS_NOT.search(before):
        return False
    announced = _WORD.search(before) is not None
    if digits.startswith("00") and (announced or len(_groups(written)) > 1):
        return _is_possible("+" + digits[2:])
    return _is_national(written, digits, regions, announced=announced)


def _is_something_else(written: str) -> bool:
    return _DATE.match(written) is not None or _TIMES.fullmatch(written) is not None or _counts(_groups(written))


def _is_national(written: str, digits: str, regions: tuple[str, ...], *, announced: bool) -> bool:
    if _NANP.fullmatch(written) and ("US" in regions or "CA" in regions):
        return True
    if announced or _is_grouped(written, digits):
        return any(_is_valid(digits, region) for region in regions)
    return written == digits and _BARE.fullmatch(digits) is not None and any(_is_mobile(digits, region) for region in regions)


def _counts(groups: list[str]) -> bool:
    """Return whether groups count up, as in 01 02 03 04 05."""
    return len(groups) > _FEWEST_GROUPS and all(int(b) - int(a) == 1 for a, b in pairwise(groups))


def _groups(written: str) -> list[str]:
    return [group for group in _SEPARATORS.split(written) if group]


def _is_grouped(written: str, digits: str) -> bool:
    """Return whether the way in which a number is written says that it is one to call: a trunk 0 or an area in brackets, and groups.

    Groups of three alone are thousands as often as not, and points alone are versions.
    """
    groups = _groups(written)
    if len(groups) < _FEWEST_GROUPS or max(map(len, groups)) > 8:  # noqa: PLR2004 - the longest subscriber number
        return False
    if written.startswith("("):
        return True
    if digits[0] == "0" and digits[1] != "0":
        return len(groups[0]) > 1
    return tuple(map(len, groups)) in {(3, 2, 2, 2), (5, 5)}


@lru_cache(maxsize=4096)
def _is_valid(digits: str, region: str) -> bool:
    phonenumbers = _library()
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(digits, region)))
    except phonenumbers.NumberParseException:
        return False


@lru_cache(maxsize=4096)
def _is_mobile(digits: str, region: str) -> bool:
    phonenumbers = _library()
    return _is_valid(digits, region) and bool(
        phonenumbers.number_type(phonenumbers.parse(digits, region)) == phonenumbers.PhoneNumberType.MOBILE
    )


@lru_cache(maxsize=4096)
def _is_possible(international: str) -> bool:
    phonenumbers = _library()
    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(international, None)))
    except phonenumbers.NumberParseException:
        return False


@lru_cache(maxsize=1)
def _library() -> Any:
    # Six megabytes, and a tenth of a second: only for those who look for telephone numbers, and never in the gate.
    import phonenumbers  # noqa: PLC0415 - see above

    return phonenumbers
