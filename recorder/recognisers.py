"""What personal data and secrets look like, and how to be sure of it: checksums where there are any.

Every recogniser takes time linear in the text: each pattern is anchored by a look-behind, so that a long run of letters is entered once
and not once per letter, and every repetition is bounded.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from itertools import cycle

Found = Iterator[tuple[int, int]]

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

_EMAIL = re.compile(r"(?<![\w.%+-])(?!git@)[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{8,4000}\.eyJ[\w-]{8,8000}\.[\w-]{10,2000}")
_API_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-[A-Za-z0-9_-]{16,250}|fg-[A-Za-z0-9_-]{40,60}|pk-lf-[0-9a-f-]{36}|"
    r"(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9+/=]{16,250}|"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{35}|ya29\.[\w-]{20,500}|"
    r"gh[pousr]_[A-Za-z0-9]{36,250}|github_pat_[A-Za-z0-9_]{22,250}|glpat-[\w-]{20,64}|"
    r"xox[abeposr]-[A-Za-z0-9-]{10,250}|xapp-[A-Za-z0-9-]{10,250}|"
    r"hf_[A-Za-z0-9]{30,64}|gsk_[A-Za-z0-9]{20,128}|xai-[A-Za-z0-9]{20,128}|r8_[A-Za-z0-9]{30,64}|pplx-[A-Za-z0-9]{30,128}|"
    r"lsv2_[a-z]{2}_[0-9a-f_]{32,80}|SG\.[\w-]{16,64}\.[\w-]{16,64}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,250}|dop_v1_[0-9a-f]{64}"
    r")(?![A-Za-z0-9_])"
)
_SECRET = re.compile(
    r"(?i)(?<![a-z0-9])(?:password|passwd|pwd|passphrase|client_secret|secret_key|api_key|apikey)[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    r"([^\s\"',;}{]{6,200})"
)
_BEARER = re.compile(r"(?i)(?<![a-z0-9])bearer\s{1,3}([a-z0-9._~+/=-]{16,500})")
_DIGITS = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,30}(?!\w)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,60}")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w+])(?:\+|(?<!\d )00(?=[1-9]))\d(?:[ .()/-]{0,2}\d){7,14}(?!\w)"
    r"|(?<![\w.(-])(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]{1,2}[2-9]\d{2}[ .-]\d{4}(?![\w-])"
    r"|(?<![\w.,/-])(?<!\d )\(?0\d{1,4}\)?[ /-]{1,3}\d{2,4}(?:[ -]?\d{2,4}){1,3}(?!\w)"
)
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# First digits and lengths of payment cards. Source: ISO/IEC 7812 ranges as the networks publish them.
_CARDS = (
    (re.compile(r"4"), {13, 16, 19}),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile(r"3[47]"), {15}),
    (re.compile(r"30[0-5]|3[689]"), {14, 16, 19}),
    (re.compile(r"6011|64[4-9]|65|62|35(?:2[89]|[3-8])"), {16, 17, 18, 19}),
    (re.compile(r"50|5[6-9]|6[37]"), {13, 14, 15, 16, 17, 18, 19}),
)
NATIONAL_PHONE = range(9, 13)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One kind of thing: a text that must occur for it to be there at all, and where it stands in a text."""

    kind: str
    clue: re.Pattern[str]
    find: Callable[[str], Found]


def _all(pattern: re.Pattern[str], group: int = 0) -> Callable[[str], Found]:
    def find(text: str) -> Found:
        return (found.span(group) for found in pattern.finditer(text))

    return find


def _private_keys(text: str) -> Found:
    """Find blocks of private keys; one that does not end reaches to the end of the text."""
    place = 0
    while begin := _BEGIN.search(text, place):
        end = _END.search(text, begin.end())
        place = end.end() if end else len(text)
        yield begin.start(), place


def luhn(digits: str) -> bool:
    """Return whether the last of `digits` is the check digit of the others (ISO/IEC 7812-1)."""
    total = sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(reversed(digits), cycle((1, 2)), strict=False))
    return total % 10 == 0


def _is_card(digits: str) -> bool:
    return any(len(digits) in lengths and start.match(digits) for start, lengths in _CARDS) and luhn(digits)


def _cards(text: str) -> Found:
    """Find card numbers: grouped digits of an issuer's range whose check digit is right, whatever digits follow them."""
    for run in _DIGITS.finditer(text):
        places = [run.start() + index for index, letter in enumerate(run[0]) if letter.isdigit()]
        digits = "".join(letter for letter in run[0] if letter.isdigit())
        for length in range(min(19, len(digits)), 12, -1):
            ends_there = length == len(digits) or places[length] - places[length - 1] > 1
            if ends_there and digits.isascii() and _is_card(digits[:length]):
                yield run.start(), places[length - 1] + 1
                break


def _ibans(text: str) -> Found:
    """Find IBANs, in groups or not, upper case or lower: the country's length, and a remainder of 1 by 97 (ISO 13616)."""
    for run in _IBAN.finditer(text):
        places = [run.start() + index for index, letter in enumerate(run[0]) if letter.isalnum()]
        letters = "".join(letter for letter in run[0] if letter.isalnum()).upper()
        length = IBAN_LENGTHS.get(letters[:2], 0)
        if not length or len(letters) < length or not letters.isascii():
            continue
        number = int("".join(str(int(letter, 36)) for letter in letters[4:length] + letters[:4]))
        end = places[length - 1] + 1
        if number % 97 == 1 and not text[end : end + 1].isalnum():
            yield run.start(), end


def _addresses(text: str) -> Found:
    """Find IP addresses, but for those that say nothing about anybody (loopback, unspecified)."""
    for kind, pattern in ((IPv4Address, _IPV4), (IPv6Address, _IPV6)):
        for found in pattern.finditer(text):
            try:
                address = kind(found[0])
            except AddressValueError:
                continue
            if not (address.is_loopback or address.is_unspecified):
                yield found.span()


def _phones(text: str) -> Found:
    """Find telephone numbers: international ones, and national ones in the usual groups."""
    for found in _PHONE.finditer(text):
        digits = sum(letter.isdigit() for letter in found[0])
        if found[0][0] == "+" or found[0].startswith("00") or digits in NATIONAL_PHONE:
            yield found.span()


RECOGNISERS = (
    Recogniser("private_key", re.compile("PRIVATE KEY"), _private_keys),
    Recogniser("jwt", re.compile("eyJ"), _all(_JWT)),
    Recogniser("api_key", re.compile(r"[-_.]|A[KSI]"), _all(_API_KEY)),
    Recogniser("secret", re.compile("[Bb]earer|BEARER"), _all(_BEARER, 1)),
    Recogniser("secret", re.compile("[:=]"), _all(_SECRET, 1)),
    Recogniser("email", re.compile("@"), _all(_EMAIL)),
    Recogniser("iban", re.compile(r"[A-Za-z]{2}\d{2}"), _ibans),
    Recogniser("card", re.compile(r"\d[ -]?\d[ -]?\d"), _cards),
    Recogniser("ssn", re.compile(r"\d-\d"), _all(_SSN)),
    Recogniser("ip", re.compile(r"\d\.\d|:"), _addresses),
    Recogniser("phone", re.compile(r"\d[ .()/-]{0,3}\d"), _phones),
)
SECRET_NAMES = frozenset(
    [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "client_secret",
        "secret_key",
        "api_key",
        "apikey",
        "access_token",
        "refresh_token",
        "authorization",
    ]
)
