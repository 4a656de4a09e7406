"""Keys and names in settings that become values of headers: one line of plain characters, so that nothing in them can begin another header."""

import base64
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

_BASIC = "Basic "


def one_line(text: str) -> str:
    """Return a text that can be the value of a header as it is.

    Raises:
        ValueError: it cannot; the message does not hold it.

    """
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("write one line of plain characters, without blanks at its ends")
    return text


def secret_line(value: SecretStr) -> SecretStr:
    """Return a secret that can be the value of a header as it is.

    Raises:
        ValueError: it cannot; the message does not hold it.

    """
    one_line(value.get_secret_value())
    return value


# The types of settings that are sent as headers.
HeaderText = Annotated[str, Field(max_length=256), AfterValidator(one_line)]
HeaderSecret = Annotated[SecretStr, Field(max_length=4_096), AfterValidator(secret_line)]


def basic(name: str, password: SecretStr) -> str:
    """Return the value of `authorization` for a name and a password."""
    return _BASIC + base64.b64encode(f"{name}:{password.get_secret_value()}".encode()).decode()


def packed_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets that are among headers in another form than in the settings."""
    return tuple(value.removeprefix(_BASIC) for value in headers.values() if value.startswith(_BASIC))
