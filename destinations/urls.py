"""URLs and headers in the settings of destinations."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, ValidationInfo

from destinations.addresses import literal, why_not

_LONGEST = 2_000
_LONGEST_HEADER = 4_096
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_|~-]{1,100}")
# What says where a request ends is not for settings to say.
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "host", "content-type", "content-encoding"})


def checked_url(value: str) -> str:
    """Return a URL of https or http, without credentials in it, that is not at an address where no destination can ever be.

    Raises:
        ValueError: it is none.

    """
    if len(value) > _LONGEST or " " in value or not value.isprintable():
        raise ValueError("a URL has no blanks and at most 2,000 characters")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("write a URL such as https://collector.example.com:4318") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError("write a URL such as https://collector.example.com:4318")
    if parts.username is not None or parts.password is not None:
        raise ValueError("put credentials into settings of their own, not into the URL")
    if parts.fragment:
        raise ValueError("a URL here has no part after #")
    checked_host(host)
    return value


def checked_host(host: str) -> str:
    """Return a host. Where its name leads is looked at when something is sent; an address is known now.

    Raises:
        ValueError: it is an address that is never allowed.

    """
    address = literal(host)
    reason = None if address is None else why_not(address, allow_private=True)
    if reason is not None:
        raise ValueError(f"{reason}: {address}; write the address or the name of the destination itself")
    return host


def allowed_url(value: str, info: ValidationInfo) -> str:
    """Return a URL that a destination can be at: https, or http where its settings allow private addresses.

    Raises:
        ValueError: it is none.

    """
    if checked_url(value).lower().startswith("http:") and not info.data.get("allow_private"):
        raise ValueError("write https; plain http is only for private addresses, with `allow_private = true`")
    return value


# The type of a setting that is a URL.
Url = Annotated[str, AfterValidator(allowed_url)]


def _without_slash(url: str) -> str:
    return url.rstrip("/")


# One that paths are put behind.
BaseUrl = Annotated[Url, AfterValidator(_without_slash)]


def checked_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Return headers that can be sent as they are.

    Raises:
        ValueError: one of them cannot, or is the sender's own business.

    """
    for name, value in headers.items():
        text = value.get_secret_value()
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"the header {name} is set by the sender; take it out")
        if len(text) > _LONGEST_HEADER or not text.isascii() or not text.isprintable() or text != text.strip():
            raise ValueError(f"the header {name} must be one line of plain characters")
    return headers


Headers = Annotated[dict[str, SecretStr], AfterValidator(checked_headers)]
