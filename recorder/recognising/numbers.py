"""Numbers that are given to people: payment cards, bank accounts (IBAN) and national ids.

A run of digits is taken apart into its groups (`4111 1111 1111 1111`), and every few neighbouring groups are tried together. What a
check digit alone would find too often (a tenth of all numbers passes it) needs a word in front that says what the number is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from recorder.recognising.checksums import bsn, codice, cpf, dni, iban, luhn, nhs, nir, pesel, tax_id, verhoeff
from recorder.recognising.context import in_front

Found = Iterator[tuple[int, int, str]]

# Lengths of IBANs by country. Source: the SWIFT IBAN registry, release 99.
IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL FK SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ TL OM SO",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for code in codes.split()
}
# First digits and lengths of payment cards. Source: ISO/IEC 7812 ranges as the networks publish them.
_CARDS = (
    (re.compile(r"4"), {13, 16, 19}),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile(r"3[47]"), {15}),
    (re.compile(r"30[0-5]|3[689]"), {14, 16, 19}),
    (re.compile(r"6011|64[4-9]|65|62|35(?:2[89]|[3-8])"), {16, 17, 18, 19}),
    (re.compile(r"50|5[6-9]|6[37]"), {13, 14, 15, 16, 17, 18, 19}),
)
_SURE_CARD_LENGTHS = frozenset({15, 16})
CARD_DIGITS = range(13, 20)
_CARD_GROUP = range(3, 8)

# The shortest number has nine digits.
_RUN = re.compile(r"[0-9](?:[ ./-]?[0-9]){8,}")
_GROUP = re.compile(r"[0-9]+")
_IBAN = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])(?<![A-Za-z0-9][A-Za-z]{2}[0-9])[0-9](?:[ -]?[A-Za-z0-9]){11,46}")
_LAST_LETTER = re.compile(r"[0-9][ -]?[A-Za-z](?![A-Za-z0-9])")
_BEFORE_LETTER = re.compile(r"[0-9](?:[ .-]?[0-9]){5,7}\Z")
_LONGEST_BEFORE = 15
_CODICE = re.compile(r"[0-9](?<=[A-Za-z]{6}[0-9])[0-9][A-EHLMPRSTa-ehlmprst][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z](?![A-Za-z0-9])")
_NINO = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\Z")
_WORD_CARD = re.compile(r"(?i)card|carte|karte|tarjeta|visa|maestro|mastercard|amex|\bpan\b|carta|cartão")
_NEAR = 48
_MOST_DIGITS = 19
_MOST_GROUPS = 8
# Of what is known here only a French number has more groups than that: seven.
_MOST_ANNOUNCED = 5
_NIR_DIGITS = 15


@dataclass(frozen=True, slots=True)
class _Id:
    """A national id: its check, the ways to group it that say enough by themselves, and the words that announce it."""

    kind: str
    holds: Callable[[str], bool]
    groups: re.Pattern[str]
    words: re.Pattern[str]


def _ssn(digits: str) -> bool:
    return digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<![a-z])(?:{text})(?![a-z])")


_NEVER = re.compile(r"(?!)")
_IDS: Mapping[int, tuple[_Id, ...]] = {
    9: (
        _Id("us_ssn", _ssn, re.compile(r"\d{3}-\d\d-\d{4}"), _words(r"ssns?|social security|soc\.? sec")),
        _Id("ca_sin", luhn, re.compile(r"[1-79]\d\d-\d{3}-\d{3}"), _words(r"sin|social insurance|nas|assurance sociale")),
        _Id("nl_bsn", bsn, _NEVER, _words(r"bsn|burgerservicenummer|sofi-?nummer|citizen service")),
    ),
    10: (_Id("uk_nhs", nhs, re.compile(r"\d{3} \d{3} \d{4}"), _words(r"nhs")),),
    11: (
        _Id("br_cpf", cpf, re.compile(r"\d{3}\.\d{3}\.\d{3}-\d\d"), _words(r"cpf")),
        _Id(
            "de_tax_id",
            tax_id,
            re.compile(r"\d\d \d{3} \d{3} \d{3}"),
            _words(r"steuer-?(?:id|identifikationsnummer|nummer|idnr)\w*|idnr|steuerliche\w*|tax id|tin|tax-id|german tax"),
        ),
        _Id("pl_pesel", pesel, _NEVER, _words(r"pesel\w{0,3}")),
    ),
    12: (
        _Id(
            "in_aadhaar",
            lambda digits: digits[0] not in "01" and verhoeff(digits),
            re.compile(r"\d{4}([ -])\d{4}\1\d{4}"),
            _words(r"aadhaar|aadhar|uidai|uid"),
        ),
    ),
    15: (
        _Id(
            "fr_nir",
            nir,
            re.compile(r"\d{15}|[12][ .]?(?:\d\d[ .]?){3}\d{3}[ .]?\d{3}[ .]?\d\d"),
            _words(r"nir|sécu\w*|sécurité sociale"),
        ),
    ),
}


def of_runs(text: str) -> Found:
    """Find cards and those national ids that are all digits."""
    for run in _RUN.finditer(text):
        begin, end = run.span()
        if _is_part(text, begin - 1, "_.+-") or _is_part(text, end, "_"):
            yield from _in_groups(text, begin, end, cut_front=_is_part(text, begin - 1, "_.+-"), cut_end=_is_part(text, end, "_"))
        else:
            yield from _in_groups(text, begin, end)


def _is_part(text: str, place: int, also: str) -> bool:
    """Return whether the letter at `place` makes a number beside it a part of something longer."""
    return 0 <= place < len(text) and (text[place].isalnum() or text[place] in also)


def _in_groups(text: str, begin: int, end: int, *, cut_front: bool = False, cut_end: bool = False) -> Found:
    groups = [group.span() for group in _GROUP.finditer(text, begin, end)]
    if cut_front:
        groups = groups[1:]
    if cut_end:
        groups = groups[:-1]
    first = 0
    while first < len(groups):
        found = _longest(text, groups, first)
        if found is None:
            first += 1
            continue
        kind, last = found
        yield groups[first][0], groups[last][1], kind
        first = last + 1


def _longest(text: str, groups: list[tuple[int, int]], first: int) -> tuple[str, int] | None:
    """Return what begins with the group `first`, and its last group: the longest number that there is."""
    total, best = 0, None
    begin = groups[first][0]
    for last in range(first, min(first + _MOST_GROUPS, len(groups))):
        total += groups[last][1] - groups[last][0]
        if total > _MOST_DIGITS:
            break
        few = last - first < _MOST_ANNOUNCED or total == _NIR_DIGITS
        if few and (total in _IDS or total in CARD_DIGITS):
            kind = _kind_of(text, begin, groups[last][1], groups[first : last + 1])
            best = (kind, last) if kind else best
    return best


def _kind_of(text: str, begin: int, end: int, groups: list[tuple[int, int]]) -> str | None:
    written = text[begin:end]
    digits = "".join(_GROUP.findall(written))
    for one in _IDS.get(len(digits), ()):
        if one.groups.fullmatch(written):
            said = one.holds(digits)
        else:
            said = len(groups) <= _MOST_ANNOUNCED and one.holds(digits) and _is_announced(one, text, begin)
        if said:
            return one.kind
    if len(digits) in CARD_DIGITS and (len(groups) == 1 or all(b - a in _CARD_GROUP for a, b in groups)) and is_card(digits):
        sure = len(digits) in _SURE_CARD_LENGTHS or _WORD_CARD.search(in_front(text, begin, _NEAR))
        return "card" if sure and "/" not in written else None
    return None


def _is_announced(one: _Id, text: str, begin: int) -> bool:
    return one.words.search(in_front(text, begin, _NEAR)) is not None


def is_card(digits: str) -> bool:
    """Return whether these digits are of an issuer's range and length, and the last is the check digit."""
    return any(len(digits) in lengths and start.match(digits) for start, lengths in _CARDS) and luhn(digits)


def ibans(text: str) -> Found:
    """Find IBANs, in groups or not, upper case or lower: the country's length, and a remainder of 1 by 97 (ISO 13616)."""
    for run in _IBAN.finditer(text):
        begin = run.start() - 2
        length = IBAN_LENGTHS.get(text[begin : begin + 2].upper(), 0)
        if not length:
            continue
        letters, end = _letters(text, begin, length)
        if len(letters) == length and not text[end : end + 1].isalnum() and iban(letters.upper()):
            yield begin, end, "iban"


def _letters(text: str, begin: int, most: int) -> tuple[str, int]:
    """Return the first `most` letters and digits from `begin` on, over single spaces and dashes, and where they end."""
    letters: list[str] = []
    place = begin
    while place < len(text) and len(letters) < most:
        letter = text[place]
        if letter.isascii() and letter.isalnum():
            letters.append(letter)
        elif letter not in " -":
            break
        place += 1
    return "".join(letters), place


def with_letters(text: str) -> Found:
    """Find national ids that have letters: Spain's DNI and NIE, the British national insurance number, Italy's codice fiscale."""
    for letter in _LAST_LETTER.finditer(text):
        last = letter.start() + 1
        digits = _BEFORE_LETTER.search(text, max(last - _LONGEST_BEFORE, 0), last)
        if digits:
            yield from _spanish_or_british(text, digits.start(), letter.end())
    for found in _CODICE.finditer(text):
        begin = found.start() - 6
        letters = text[begin : found.end()]
        if not _is_part(text, begin - 1, "_") and letters.isascii() and codice(letters.upper()):
            yield begin, found.end(), "it_codice_fiscale"


def _spanish_or_british(text: str, begin: int, end: int) -> Found:
    bare = "".join(letter for letter in text[begin:end] if letter.isalnum()).upper()
    front = text[max(begin - 2, 0) : begin].upper().rstrip(" -")[-1:]
    if len(bare) == 9 and not _is_part(text, begin - 1, "_-."):  # noqa: PLR2004 - eight digits and a letter
        if dni(bare):
            yield begin, end, "es_dni"
    elif len(bare) == 8 and front and front in "XYZ" and dni(front + bare):  # noqa: PLR2004 - seven digits and a letter
        at = begin - 1 if text[begin - 1].isalpha() else begin - 2
        if not _is_part(text, at - 1, "_-"):
            yield at, end, "es_dni"
    elif len(bare) == 7 and bare[-1] in "ABCD":  # noqa: PLR2004 - six digits and a letter
        letters = _NINO.search(text, max(begin - 3, 0), begin)
        if letters and not _is_part(text, letters.start() - 1, "_-"):
            yield letters.start(), end, "uk_nino"
