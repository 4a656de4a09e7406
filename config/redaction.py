"""What operators set of redaction: what is looked for, and what becomes of it."""

import hmac
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from recorder.profiles import KINDS, REGIONS, STRICT, Action, Redaction, unknown_name

Capture = Literal["full", "redacted", "none"]
# What redacts less than another comes first.
_CAPTURES: tuple[Capture, ...] = ("full", "redacted", "none")


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = unknown_name(names)
    if wrong:
        raise ValueError(wrong)
    return names


def _regions(regions: tuple[str, ...]) -> tuple[str, ...]:
    for region in regions:
        if len(region) != 2 or not (region.isascii() and region.isalpha() and region.isupper()):  # noqa: PLR2004 - ISO 3166
            raise ValueError(f'write a country as two capitals, such as "DE", not {region!r}')
    return regions


def _kinds(actions: dict[str, Action]) -> dict[str, Action]:
    for name in actions:
        if name not in KINDS:
            raise ValueError(unknown_name([name]) or f"{name!r} is a profile: name its kinds one by one")
    return actions


class RedactionSettings(BaseModel):
    """What is taken out of contents, and what stands there instead: for capture, and for every destination."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kinds: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(
        default=("gdpr",),
        description="What is looked for where content is `redacted`, at capture and at destinations: profiles (`secrets`, `national_id`, `pii`, `gdpr`, `strict`) and kinds. `strict` also hashes the labels `user` and `customer`, and keeps no content that is not redacted.",
    )
    actions: Annotated[dict[str, Action], AfterValidator(_kinds)] = Field(
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

    def key_bytes(self, pepper: bytes) -> bytes:
        """Return the key of hashes: from the settings, or else from this installation's pepper."""
        given = self.key.get_secret_value().encode() if self.key is not None else pepper
        return hmac.new(given, b"redaction", sha256).digest()

    def value(self) -> Redaction:
        """Return what the recorder knows of this."""
        return Redaction(self.kinds, dict(self.actions), self.regions)

    def capture(self, content: Capture) -> Capture:
        """Return what may be kept of contents where `record.content` says `content`: with `strict`, nothing that is not redacted."""
        return max(content, "redacted", key=_CAPTURES.index) if STRICT in self.kinds else content
