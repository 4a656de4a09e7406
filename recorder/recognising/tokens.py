"""Secrets: API keys and tokens of the shapes that their makers publish, and whatever stands behind the name of a secret.

Sources: the makers' pages on their keys, and GitHub's list of secret scanning patterns.
"""

import re
from base64 import b64decode
from collections.abc import Iterator

Found = Iterator[tuple[int, int, str]]

# What a key begins with, and what follows. Each is looked for only in a text that has its beginning.
_SHAPES = (
    ("sk-", r"(?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{20,250}"),  # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse, LiteLLM
    ("fg-", r"[A-Za-z0-9_-]{40,70}"),
    ("pk-lf-", r"[0-9a-f-]{36}"),
    ("sk_live_", r"[A-Za-z0-9]{16,250}"),
    ("sk_test_", r"[A-Za-z0-9]{16,250}"),
    ("rk_live_", r"[A-Za-z0-9]{16,250}"),
    ("rk_test_", r"[A-Za-z0-9]{16,250}"),
    ("pk_live_", r"[A-Za-z0-9]{16,250}"),
    ("pk_test_", r"[A-Za-z0-9]{16,250}"),
    ("whsec_", r"[A-Za-z0-9+/=]{16,250}"),
    ("AKIA", r"[0-9A-Z]{16}"),
    ("ASIA", r"[0-9A-Z]{16}"),
    ("ABSK", r"[A-Za-z0-9+/=]{100,300}"),  # Bedrock
    ("AIza", r"[\w-]{35}"),
    ("AQ.Ab", r"[\w-]{40,120}"),  # Google's newer keys
    ("GOCSPX-", r"[\w-]{28}"),
    ("ya29.", r"[\w-]{20,500}"),
    ("ghp_", r"[A-Za-z0-9]{36,250}"),
    ("gho_", r"[A-Za-z0-9]{36,250}"),
    ("ghu_", r"[A-Za-z0-9]{36,250}"),
    ("ghs_", r"[A-Za-z0-9]{36,250}"),
    ("ghr_", r"[A-Za-z0-9]{36,250}"),
    ("github_pat_", r"[A-Za-z0-9_]{22,250}"),
    ("glpat-", r"[\w.-]{20,64}"),
    ("gldt-", r"[\w-]{20,64}"),
    ("glrt-", r"[\w-]{20,64}"),
    ("glcbt-", r"[\w-]{20,64}"),
    ("xoxb-", r"[A-Za-z0-9-]{10,250}"),
    ("xoxp-", r"[A-Za-z0-9-]{10,250}"),
    ("xoxa-", r"[A-Za-z0-9-]{10,250}"),
    ("xoxe-", r"[A-Za-z0-9-]{10,250}"),
    ("xoxe.", r"[A-Za-z0-9.-]{10,250}"),
    ("xoxo-", r"[A-Za-z0-9-]{10,250}"),
    ("xoxs-", r"[A-Za-z0-9-]{10,250}"),
    ("xoxr-", r"[A-Za-z0-9-]{10,250}"),
    ("xapp-", r"[A-Za-z0-9-]{10,250}"),
    ("hooks.slack.com/services/", r"T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/[A-Za-z0-9]{16,40}"),
    ("SK", r"[0-9a-f]{32}"),  # Twilio
    ("SG.", r"[\w-]{16,64}\.[\w-]{16,64}"),
    ("key-", r"[0-9a-f]{32}"),  # Mailgun
    ("npm_", r"[A-Za-z0-9]{36}"),
    ("pypi-", r"AgE[\w-]{50,250}"),
    ("dop_v1_", r"[0-9a-f]{64}"),
    ("hf_", r"[A-Za-z0-9]{30,64}"),
    ("gsk_", r"[A-Za-z0-9]{20,128}"),
    ("xai-", r"[A-Za-z0-9]{20,128}"),
    ("r8_", r"[A-Za-z0-9]{30,64}"),
    ("pplx-", r"[A-Za-z0-9]{30,128}"),
    ("nvapi-", r"[\w-]{40,100}"),
    ("fw_", r"[A-Za-z0-9]{22,32}"),
    ("csk-", r"[a-z0-9]{40,60}"),  # Cerebras
    ("tgp_v1_", r"[\w-]{30,64}"),  # Together
    ("lsv2_pt_", r"[0-9a-f_]{32,80}"),
    ("lsv2_sk_", r"[0-9a-f_]{32,80}"),
    ("phc_", r"[A-Za-z0-9]{32,64}"),
    ("phx_", r"[A-Za-z0-9]{32,64}"),
    ("ddapp_", r"[A-Za-z0-9]{34}"),
    ("NRAK-", r"[A-Z0-9]{27}"),
    ("glsa_", r"[A-Za-z0-9]{32}_[0-9a-f]{8}"),
    ("glc_", r"eyJ[A-Za-z0-9+/=]{40,400}"),
    ("hcaik_", r"[a-z0-9]{58}"),
    ("sntrys_", r"eyJ[\w+/=-]{40,400}"),
    ("sntryu_", r"[0-9a-f]{64}"),
    ("dapi", r"[0-9a-f]{32}(?:-\d)?"),
    ("shpat_", r"[0-9a-fA-F]{32}"),
    ("sbp_", r"[0-9a-f]{40}"),
    ("vercel_", r"[A-Za-z0-9]{24}"),
    ("dckr_pat_", r"[\w-]{27,40}"),
    ("AGE-SECRET-KEY-1", r"[0-9A-Z]{58}"),
)
_KEYS = {
    start: re.compile(rf"{re.escape(start)}(?<![A-Za-z0-9_-]{re.escape(start)}){rest}(?![A-Za-z0-9_])") for start, rest in _SHAPES
}
# Which beginnings have the same first two letters: a key begins where a piece does, so most pieces are done with after one look.
_BY_FIRST = {start[:2]: tuple(other for other in _KEYS if other[:2] == start[:2]) for start in _KEYS}
_PIECE = re.compile(r"[A-Za-z0-9_-]{2,}")
_SHORTEST = 15
_AZURE = re.compile(r"8Q~[\w~.-]{34}(?![\w~])")
_AZURE_BEFORE = 3
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_NEAR = 200
_TELEGRAM = re.compile(r":AA[\w-]{33}(?![\w-])")
_JWT = re.compile(r"eyJ(?<![\w-]eyJ)[\w-]{8,4000}\.eyJ[\w-]{8,8000}\.[\w-]{10,2000}")
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# What follows is looked for in a text of small letters: a pattern that begins with a literal is found at the speed of memory.
_BEARER = re.compile(r"bearer(?<![a-z0-9]bearer)\s{1,3}([a-z0-9._~+/=-]{16,}+)")
_BASIC = re.compile(r"basic(?<![a-z0-9]basic)\s{1,3}([a-z0-9+/]{12,500}={0,2})(?![a-z0-9])")
_URL = re.compile(r"://[^\s:/@\"'<>\x00]{0,64}:([^\s/@\"'<>\x00]{3,200})@[\w.\[-]")
_VALUE = (
    r"(?![a-z0-9])[\"'\\]{0,3}(?:[ \t]{0,3}(?:[:=]|=>|:=)[ \t]{0,3}|[ \t]{1,2}(?:is|ist|es|est)[ \t]{1,2}(?=[^\s]{0,60}[0-9]))[\"'\\]{0,3}"
    r"(?:(?<=\")([^\"\\\n\x00]{6,200})(?=\")|(?<=')([^'\\\n\x00]{6,200})(?=')|([^\s\"',;}{<>\\\x00]{6,}+))"
)


def _behind(*fronts: str) -> str:
    return "(?:" + "|".join(f"(?<={front})" for front in fronts) + ")"


_BEFORE_KEY = tuple(
    f"{front}{mark}key"
    for front in ("api", "access", "account", "secret", "private", "app", "application", "signing", "encryption")
    for mark in ("_", "-", " ", "")
)
_NAMED = tuple(
    re.compile(name + _VALUE)
    for name in (
        r"pass(?:word|wd|wort|phrase|code)",
        r"pwd",
        r"kennwort",
        r"contrase(?:ñ|n)a",
        r"senha",
        r"mot de passe",
        r"wachtwoord",
        r"hasło",
        "secret" + _behind("_secret", "-secret", "client secret", "clientsecret"),
        "key" + _behind(*_BEFORE_KEY),
        "token" + _behind("_token", "-token", "accesstoken", "authtoken", "access token", "auth token"),
    )
)
_CODE = re.compile(
    r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+|\$\{?[A-Z_][A-Z0-9_]*\}?|\$\(.*|%[A-Z_]+%|%\(\w+\)s|[*.•]+|[xX]+|[A-Za-z_][\w.]*\(.*|[A-Za-z_]\w*\[.*|process\.env.*|[A-Z]+(?:_[A-Z]+)+"
)
_WORDS = frozenset(
    [
        "string",
        "str",
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "required",
        "optional",
        "redacted",
        "hidden",
        "masked",
        "secretstr",
        "invalid",
        "missing",
        "incorrect",
        "expired",
        "wrong",
        "empty",
        "default",
        "number",
        "integer",
        "boolean",
        "object",
        "unknown",
        "forgotten",
        "forgot",
        "protected",
        "policy",
        "reset",
    ]
)
# Members of JSON objects under which a text is a secret, whatever it looks like.
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
        "secret_access_key",
        "aws_secret_access_key",
        "private_key",
        "x_api_key",
        "session_token",
        "auth_token",
        "passwort",
        "kennwort",
        "contraseña",
    ]
)


def private_keys(text: str) -> Found:
    """Find blocks of private keys; one that does not end reaches to the end of the text."""
    if "PRIVATE KEY" not in text:
        return
    place = 0
    while begin := _BEGIN.search(text, place):
        end = _END.search(text, begin.end())
        place = end.end() if end else len(text)
        yield begin.start(), place, "private_key"


def jwts(text: str) -> Found:
    """Find JSON Web Tokens."""
    if "eyJ" in text:
        for found in _JWT.finditer(text):
            yield *found.span(), "jwt"


def keys(text: str) -> Found:
    """Find API keys and tokens of known shapes, and AWS secrets that follow their key's id."""
    words = " ".join([word for word in text.split() if len(word) >= _SHORTEST])
    firsts = {piece[:2] for piece in _PIECE.findall(words)}
    for first in firsts & _BY_FIRST.keys():
        for start in _BY_FIRST[first]:
            if start in words:
                yield from _keys_of(text, start)
    if "8Q~" in text:
        for found in _AZURE.finditer(text):
            yield max(found.start() - _AZURE_BEFORE, 0), found.end(), "api_key"
    if ":AA" in text:
        yield from _telegram(text)


def _keys_of(text: str, start: str) -> Found:
    for found in _KEYS[start].finditer(text):
        yield *found.span(), "api_key"
        if start in {"AKIA", "ASIA"}:
            near = _AWS_SECRET.search(text, found.end(), found.end() + _NEAR)
            if near:
                yield *near.span(), "api_key"


def _telegram(text: str) -> Found:
    """Find tokens of Telegram bots: the bot's number, a colon, 35 letters."""
    for found in _TELEGRAM.finditer(text):
        begin = found.start()
        while begin > 0 and found.start() - begin < 12 and text[begin - 1].isdecimal():  # noqa: PLR2004 - digits of a bot's number
            begin -= 1
        if found.start() - begin >= 8:  # noqa: PLR2004 - see above
            yield begin, found.end(), "api_key"


def named(text: str) -> Found:
    """Find what stands behind `Bearer`, in a URL before the @, and behind the name of a secret, unless it is code or a word about it."""
    small = _small(text)
    yield from _credentials(text, small)
    if "://" in text and "@" in text:
        for found in _URL.finditer(text):
            if not _CODE.fullmatch(found[1]):
                yield *found.span(1), "secret"
    for pattern in _NAMED:
        for found in pattern.finditer(small):
            begin, end = found.span(found.lastindex or 0)
            value = text[begin:end].rstrip(".!?:)]")
            if len(value) > 5 and not _is_no_secret(value):  # noqa: PLR2004 - shorter ones are words
                yield begin, begin + len(value), "secret"


def _credentials(text: str, small: str) -> Found:
    """Find what stands behind `Bearer` and `Basic`. A bearer token has a digit, or it is a word of a sentence."""
    for found in _BEARER.finditer(small):
        if any(letter.isdecimal() for letter in found[1]):
            yield *found.span(1), "secret"
    for found in _BASIC.finditer(small):
        if _is_name_and_password(text[found.start(1) : found.end(1)]):
            yield *found.span(1), "secret"


def _small(text: str) -> str:
    """Return `text` in small letters, each in its place: a few capitals become two letters, and those stay."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _is_no_secret(value: str) -> bool:
    return value.lower() in _WORDS or value.lower().lstrip("<[").startswith("your") or _CODE.fullmatch(value) is not None


def _is_name_and_password(value: str) -> bool:
    try:
        return b":" in b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return False
