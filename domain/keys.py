"""Keys: who is calling, and what they may use. We hold hashes and fingerprints, never the secret."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from domain.budgets import KeyLimits

PREFIX = "fg-"
TOO_SHORT_TO_HINT = 12


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that apps call with.

    `managed` keys are ours: `digest` is the SHA-256 of the secret, in hex. `pass_through` keys are a provider's credential that came
    by: `digest` is a keyed fingerprint of it. `previous` is a rotated secret's digest, good until `previous_until`. Times are Unix
    seconds. `models` are globs; none means every model. `limits` is None where there are none.
    """

    id: str
    name: str
    digest: str
    kind: Literal["managed", "pass_through", "anonymous"] = "managed"
    project: str = "default"
    models: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None
    previous: str | None = None
    previous_until: float | None = None
    origin: str = "database"
    last_used_at: float | None = None
    limits: KeyLimits | None = None

    def may_use(self, model: str) -> bool:
        """Return whether this key may call `model`."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


def new_secret() -> str:
    """Return a new managed key's secret: 256 bits, `fg-` in front."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str | bytes) -> str:
    """Return the SHA-256 of a managed secret in hex. 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()


def fingerprint(credential: bytes, pepper: bytes) -> str:
    """Return the keyed fingerprint of a provider's credential (HMAC-SHA256 in hex); useless without the installation's `pepper`."""
    return hmac.new(pepper, credential, hashlib.sha256).hexdigest()


def hint(secret: str) -> str:
    """Return what may be shown of a secret: its first five and last two characters."""
    return f"{secret[:5]}…{secret[-2:]}" if len(secret) > TOO_SHORT_TO_HINT else "…"
