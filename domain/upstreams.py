"""Upstreams: a provider's API, as the gate needs to know it."""

from dataclasses import dataclass, field
from typing import Literal

from domain.exchange import Dialect

AuthStyle = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `idle` is the longest silence in an answer; an answer as a whole has no limit."""

    connect: float = 5.0
    first_byte: float = 600.0
    idle: float = 300.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider's API.

    `scheme` is `https`, `http` or `sim` (answered from inside the process). `base_path` is the path of the base URL without its
    last slash (`/v1`). `credentials` are secrets: they are never shown, and empty where callers must bring their own.
    `ask_usage`: ask for usage in streams that did not (see DESIGN section 4). `own_slashes`: the provider's own model names have
    slashes in them, so that `upstream/model` is not taken apart. `ca_file` is a bundle of certificate authorities for a private upstream.
    `needs_key`: the provider answers nobody without a credential, so that a managed key without one is told so by us.
    """

    name: str
    scheme: Literal["https", "http", "sim"]
    host: str
    port: int
    base_path: str
    dialect: Dialect = "openai"
    auth: AuthStyle = "bearer"
    credentials: tuple[str, ...] = field(default=(), repr=False)
    ask_usage: bool = True
    own_slashes: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    ca_file: str | None = None
    needs_key: bool = False
