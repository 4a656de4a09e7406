"""Tell people of events by e-mail, over SMTP.

Source: RFC 5321, RFC 5322, RFC 8314 (TLS for submission).
"""

import asyncio
import re
import smtplib
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from destinations.addresses import is_private, place_of, why_not
from destinations.base import DestinationConfig
from destinations.lines import ended_at
from destinations.telling import MOST_LINES, calls_text, calls_title, one_line, text_of, title_of
from destinations.urls import checked_host
from domain.destinations import DeliveryFailed, Limits, Misconfigured, Parcel, Payload, Receipt, Rejected, TooLarge, Unavailable
from domain.events import Event

if TYPE_CHECKING:
    import httpx

Security = Literal["starttls", "tls", "none"]
# Deliberately narrower than RFC 5322: nothing that quotes, comments or ends a line.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_PERMANENT = 500
_BUSY = 421
_TOO_LARGE = 552
_LONGEST_SUBJECT = 200


class EmailConfig(DestinationConfig):
    """Tell people of events by e-mail: budgets that run out, destinations that fail, and calls that a rule picks."""

    LIMITS: ClassVar[Limits] = Limits(items=MOST_LINES, body_bytes=256 * 1024, flush=60.0, parallel=1, timeout=30.0)
    CHANNEL: ClassVar[bool] = True
    TAKES: ClassVar[Literal["spans", "events", "both"]] = "both"

    type: Literal["email"] = "email"
    host: str = Field(description="The mail server that sends for you.", examples=["smtp.example.com"])
    port: int = Field(587, ge=1, le=65_535, description="Its port: 587 for `starttls`, 465 for `tls`.")
    security: Security = Field(
        "starttls", description="How the connection is encrypted. `none` is only for a server at a private address."
    )
    username: str | None = Field(None, description="The name to sign in with.")
    password: SecretStr | None = Field(None, description="The password to sign in with.")
    sender: str = Field(description="The address that mails are from.", examples=["faregate@example.com"])
    to: tuple[str, ...] = Field(min_length=1, max_length=50, description="The addresses that mails go to.")

    @field_validator("host")
    @classmethod
    def _usable_host(cls, host: str) -> str:
        if not _HOST.fullmatch(host):
            raise ValueError("write the name of a host, such as smtp.example.com, without a port")
        return checked_host(host)

    @field_validator("sender")
    @classmethod
    def _usable_sender(cls, sender: str) -> str:
        return _address(sender)

    @field_validator("to")
    @classmethod
    def _usable_to(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address(one) for one in to)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("give both `username` and `password`, or neither")
        if self.security == "none" and not self.allow_private:
            raise ValueError(
                'without encryption, mail is only sent to a private address; set `security = "starttls"`, or `allow_private = true`'
            )
        return self

    def build(self, name: str, client: "httpx.AsyncClient") -> "Email":
        """Return the destination. It has connections of its own."""
        del name, client
        return Email(self, self.limits())


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is no plain address such as alerts@example.com")
    return text


class Email:
    """One mail for each event, and one with a line for each call. Its Message-ID follows from what it tells, so that mail programs know one that comes twice."""

    def __init__(self, config: EmailConfig, limits: Limits) -> None:
        self.limits = limits
        self._config = config

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return a mail with a line for each call."""
        del batch
        ids = tuple(parcel.span.id for parcel in parcels)
        # Long lines are broken on the way, and an id is to stay whole.
        text = calls_text(parcels).replace(" · call ", "\n  call ")
        return self._payload(calls_title(parcels), text, ended_at(parcels[-1]), ids)

    def encode_event(self, event: Event) -> Payload:
        """Return a mail about an event."""
        lines = [
            text_of(event),
            "",
            *(one_line(f"{name}: {value}") for name, value in event.data.items()),
            f"event: {one_line(event.id)}",
        ]
        return self._payload(title_of(event), "\n".join(lines), event.at, (event.id,))

    def _payload(self, subject: str, text: str, at: int, ids: tuple[str, ...]) -> Payload:
        """Return a mail. Its headers are one line each, whatever they are made of; `EmailMessage` refuses others besides."""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._config.sender
        mail["To"] = ", ".join(self._config.to)
        # An encoded word ("=?utf-8?q?x=0AY?=") would be decoded here, line break and all.
        mail["Subject"] = one_line(f"Faregate: {subject}", _LONGEST_SUBJECT).replace("=?", "= ?")
        mail["Date"] = format_datetime(datetime.fromtimestamp(at // 10**9, UTC))
        mail["Message-ID"] = f"<{sha256(' '.join(ids).encode(errors='surrogatepass')).hexdigest()[:40]}@faregate>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text, charset="utf-8", cte="quoted-printable")
        return Payload(mail.as_bytes(), "message/rfc822", ids)

    async def send(self, payload: Payload) -> Receipt:
        """Send a mail, over a connection of its own."""
        try:
            refused = await asyncio.to_thread(_sent, self._config, payload.body, self.limits.timeout)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise _failure(error) from None  # its text may hold what the server repeats of the password
        return Receipt(note=f"{len(refused)} of {len(self._config.to)} addresses were refused" if refused else "")


class _Connection(smtplib.SMTP):
    """A connection to an address that was looked up and checked; certificates are those of the host's name."""

    def __init__(self, address: str, config: EmailConfig, tls: ssl.SSLContext, timeout: float) -> None:
        self._address = address
        self._tls = tls if config.security == "tls" else None
        super().__init__(config.host, config.port, local_hostname="faregate", timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self._address, port), timeout)
        return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=host)


def _sent(config: EmailConfig, mail: bytes, timeout: float) -> dict[str, tuple[int, bytes]]:
    tls = _context(config.ca_file)
    with _Connection(_checked(config), config, tls, timeout) as connection:
        if config.security == "starttls":
            connection.starttls(context=tls)
        if config.username is not None and config.password is not None:
            connection.login(config.username, config.password.get_secret_value())
        return connection.sendmail(config.sender, config.to, mail)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _checked(config: EmailConfig) -> str:
    """Return the address of the mail server, if it may be there."""
    found = [str(place[0]) for *_, place in socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)]
    for address in found:
        reason = why_not(address, allow_private=config.allow_private)
        if reason is None and config.security == "none" and not is_private(address):
            reason = "mail without encryption is only sent to a private address"
        if reason is not None:
            raise Misconfigured(f"{place_of(config.host, address)}: {reason}")
    return found[0]


def _failure(error: Exception) -> DeliveryFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured("the mail server's certificate is not trusted; set `ca_file` if it is signed by a CA of your own")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Misconfigured("the mail server offers no such encryption or sign-in; look at `security` and `port`")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = min(code for code, _ in error.recipients.values())
        return _of_code(code, "it takes mail for none of the addresses in `to`", lasting=Misconfigured)
    if isinstance(error, smtplib.SMTPResponseException):
        return _refused(error)
    return Unavailable(f"no answer of the mail server: {type(error).__name__}")


def _refused(error: smtplib.SMTPResponseException) -> DeliveryFailed:
    if isinstance(error, smtplib.SMTPDataError):
        return _of_code(error.smtp_code, "it does not take the mail", lasting=Rejected)
    signing_in = isinstance(error, smtplib.SMTPAuthenticationError)
    what = "it does not accept the name and password" if signing_in else "it refuses; look at `sender` and the account"
    return _of_code(error.smtp_code, what, lasting=Misconfigured)


def _of_code(code: int, what: str, *, lasting: type[Misconfigured | Rejected]) -> DeliveryFailed:
    """Return what an answer of SMTP means: 4xx passes, 5xx lasts."""
    message = f"SMTP {code}: {what}"
    if code == _TOO_LARGE:
        return TooLarge(message, status=code)
    if code < _PERMANENT:
        return Unavailable(message, status=code, throttled=code == _BUSY)
    return lasting(message, status=code)
