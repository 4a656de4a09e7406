"""What operators set of redaction: what is looked for, and what becomes of it."""

import hmac
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from config.own_kinds import KIND_NAME, OwnKindSettings, wrong_own_kinds
from config.presidio import PresidioSettings
from recorder.profiles import KINDS, REGIONS, STRICT, Action, Redaction, unknown_name

Capture = Literal["full", "redacted", "none"]
# What redacts less than another comes first.
_CAPTURES: tuple[Capture, ...] = ("full", "redacted", "none")


def _regions(regions: tuple[str, ...]) -> tuple[str, ...]:
    for region in regions:
        if len(region) != 2 or not (region.isascii() and region.isalpha() and region.isupper()):  # noqa: PLR2004 - ISO 3166
            raise ValueError(f'write a country as two capitals, such as "DE", not {region!r}')
    return regions


class RedactionSettings(BaseModel):
    """What is taken out of contents, and what stands there instead: for capture, and for every destination."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kinds: tuple[str, ...] = Field(
        default=("gdpr",),
        description="What is looked for where content is `redacted`, at capture and at destinations: profiles (`secrets`, `national_id`, `pii`, `gdpr`, `strict`) and kinds. `strict` also hashes the labels `user` and `customer`, and keeps no content that is not redacted.",
    )
    actions: dict[str, Action] = Field(
        default={},
        description='What becomes of a kind: `mask` (`[email]`, the default), `hash` (the same value has the same hash: `[email:3f2a9c0b1d2e]`), `drop` (`[]`) or `keep`, as in `{email = "hash", ip = "keep"}`.',
    )
    regions: Annotated[tuple[str, ...], AfterValidator(_regions)] = Field(
        default=REGIONS,
        max_length=40,
        description="The countries whose telephone numbers are recognised as they are written there (ISO 3166). Numbers that begin with + are recognised anywhere. Each takes time.",
    )

    key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description='What hashes are made with, as `"${NAME}"`, at least 16 characters. Set it where several machines share a store; without it, it comes from the data folder. With another key, the same value has another hash.',
    )

    own: dict[Annotated[str, Field(pattern=KIND_NAME)], OwnKindSettings] = Field(
        default={}, max_length=200, description=OwnKindSettings.__doc__
    )

    presidio: PresidioSettings | None = Field(default=None, description=PresidioSettings.__doc__)

    def names(self) -> frozenset[str]:
        """Return the kinds that these settings define."""
        return frozenset(self.own) | (frozenset() if self.presidio is None else self.presidio.names())

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with all of it together, each with its place below `redaction`."""
        yield from wrong_own_kinds(self.own)
        if self.presidio is not None:
            yield from self.presidio.wrong(self.own.keys())
        unknown = unknown_name(self.kinds, self.names())
        if unknown:
            yield f"kinds: {unknown}"
        for name in self.actions:
            if name not in KINDS and name not in self.names():
                yield f"actions.{name}: {unknown_name([name], self.names()) or 'this is a profile: name its kinds one by one'}"

    def key_bytes(self, pepper: bytes) -> bytes:
        """Return the key of hashes: from the settings, or else from this installation's pepper."""
        given = self.key.get_secret_value().encode() if self.key is not None else pepper
        return hmac.new(given, b"redaction", sha256).digest()

    def value(self) -> Redaction:
        """Return what the recorder knows of this, always the same: Presidio's process is one for all."""
        return self._value

    @cached_property
    def _value(self) -> Redaction:
        own = tuple(kind.value(name) for name, kind in self.own.items())
        outside = None if self.presidio is None else self.presidio.value()
        return Redaction(self.kinds, dict(self.actions), self.regions, own, outside)

    def capture(self, content: Capture) -> Capture:
        """Return what may be kept of contents where `record.content` says `content`: with `strict`, nothing that is not redacted."""
        return max(content, "redacted", key=_CAPTURES.index) if STRICT in self.kinds else content
