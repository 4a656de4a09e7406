"""What an operator may set: one typed document. `config.loading` reads it; only composition roots and commands look at it."""

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from config.budgets import BudgetSettings, budget_of_key_text, budgets_of
from config.destinations import DestinationsField
from config.durations import Duration
from config.price_refresh import PriceRefreshSettings
from config.prices import PriceSettings
from config.redaction import RedactionSettings
from config.routes import RouteSettings, mirror_budgets, wrong_routes
from config.rules import RuleSettings, rule_values, wrong_rules
from config.upstreams import ALWAYS, KNOWN, RESERVED, defaults_for, taken
from domain.budgets import Budget, KeyLimits
from domain.keys import PREFIX, ApiKey, digest, hint
from domain.prices import Override
from domain.routes import RouteRule
from domain.upstreams import Timeouts, Upstream
from recorder.profiles import unknown_name
from routing.rules import RuleValue, Takes

LOCAL_KEY = "local"
DEFAULT_PROJECT = "default"
SIM = Upstream("sim", "sim", "sim", 0, "")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SHORTEST_SECRET = 20
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_KEY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,63}$"
_STORES = ("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")
_LEDGERS = ("redis://", "rediss://", "unix://")
_PORTS = {"https": 443, "http": 80}


def _lasting(default: str, description: str) -> Any:
    """Return a field that is a duration, with its default as people write it."""
    return Field(default=default, validate_default=True, description=description)


class _Section(BaseModel):
    """A table of the file: nothing that it does not know, and nothing that changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(_Section):
    """Where the gate listens, and how much it takes."""

    host: str = Field(
        default="127.0.0.1", min_length=1, description="The address to listen on. Elsewhere than loopback, keys are demanded."
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="The port to listen on; 0 picks a free one.")
    workers: int = Field(default=1, ge=1, le=64, description="How many gate processes share the port.")
    pass_through: Literal["loopback", "on", "off"] = Field(
        default="loopback",
        description="Whether callers may bring their provider's key: only where the gate listens on loopback, always, or never.",
    )
    default_upstream: str = Field(default="openai", description="The upstream that `/v1` goes to.")
    max_body_mb: float = Field(default=100, gt=0, description="The largest request body, in MiB.")
    header_bytes: int = Field(default=32_768, ge=1_024, le=1_048_576, description="The most bytes of a request's head.")
    header_count: int = Field(default=100, ge=10, le=10_000, description="The most headers of a request.")
    header_timeout: Duration = _lasting("10s", "How long a request's head may take to arrive.")
    body_idle: Duration = _lasting("30s", "How long a caller may pause within a request's body.")
    keep_alive: Duration = _lasting("75s", "How long a connection that nothing is asked on stays open.")
    drain: Duration = _lasting("30s", "How long running calls may take to finish when the gate stops.")
    max_connections: int = Field(default=10_000, ge=1, description="The most connections of callers to one gate process.")


class StorageSettings(_Section):
    """Where things are kept."""

    data: Path = Field(default=Path("./faregate-data"), description="The folder of the journal, the keys and the SQLite store.")
    database_url: str | None = Field(
        default=None,
        repr=False,
        description="The store, as `postgresql://user:password@host/name`; without it, SQLite in the data folder.",
    )

    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="The ledger of what is spent and held, for gates on several machines: `redis://user:password@host:6379/0`, `rediss://` with TLS, or `unix://` and a path; without it, a file in the data folder. Give it a Redis that evicts nothing (`maxmemory-policy noeviction`). Gateways that share a Redis must share a PostgreSQL too: what was spent is checked against the store.",
    )

    @field_validator("redis_url")
    @classmethod
    def _a_redis(cls, value: str | None) -> str | None:
        """Check what kind of URL it is; the message must not show a password."""
        if value is not None and not value.startswith(_LEDGERS):
            raise ValueError('write "redis://user:password@host:6379/0", "rediss://…" or "unix:///path/redis.sock"')
        return value

    @field_validator("database_url")
    @classmethod
    def _a_store_we_know(cls, value: str | None) -> str | None:
        """Check what kind of store it is; the message must not show a password."""
        if value is not None and not value.startswith(_STORES):
            raise ValueError('write "postgresql://user:password@host/name", or "sqlite:////path/file.db"')
        return value


class RecordSettings(_Section):
    """What is recorded of each call, how surely, and for how long."""

    barrier: Literal["off", "begin", "exact"] = Field(
        default="begin",
        description="What an answer waits for: nothing, the record that the call began (before its first byte), or also the one of its end (before its last).",
    )
    barrier_ms: float = Field(
        default=50, ge=0, le=60_000, description="How long the barrier may hold an answer up, in milliseconds."
    )
    content: Literal["full", "redacted", "none"] = Field(
        default="full", description="What is kept of bodies: all, all but personal data and secrets, or nothing."
    )
    copy_mb: float = Field(default=8, ge=0, le=1_024, description="The most that is kept of each body, in MiB.")
    progress_kb: float = Field(
        default=64, ge=1, description="How much of a long answer comes between two notes of its progress, in KiB."
    )
    journal_gb: float = Field(
        default=10, gt=0, description="The most disk that the journal of one gate process may take, in GiB."
    )
    on_full: Literal["shed", "reject"] = Field(
        default="shed",
        description="When the journal is full: serve calls that are not recorded (and count them), or refuse calls.",
    )
    keep_content: Duration = _lasting("30d", "How long bodies are kept.")
    keep_spans: Duration = _lasting("90d", "How long calls are kept, without their bodies.")


class OfficeSettings(_Section):
    """The office: recorder, admin API and dashboard."""

    bind: str = Field(
        default="", description="`host:port` of its own for the admin API and the dashboard; empty: behind the gate."
    )

    @field_validator("bind")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isascii() and port.isdigit() and int(port) <= 65_535):  # noqa: PLR2004 - the largest port
            raise ValueError('write host:port, such as "127.0.0.1:8090"')
        return value


class TimeoutSettings(_Section):
    """How long an upstream may take. A whole answer has no limit."""

    connect: Duration = _lasting("5s", "How long connecting may take.")
    first_byte: Duration = _lasting("10m", "How long the first byte of an answer may take.")
    idle: Duration = _lasting("5m", "The longest silence within an answer.")


def _address(url: str) -> str:
    """Check that a base URL is one, and has nothing in it that would be lost."""
    if not url:
        raise ValueError("it must be set: this is not a provider whose address we know")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError('write an address such as "https://api.example.com/v1"')
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an address has no user, query or fragment; a key belongs into api_key")
    _ = parts.port  # raises ValueError when it is not a port
    return url


class UpstreamSettings(_Section):
    """A provider's API. Known names (openai, anthropic, gemini, azure, groq, mistral, deepseek, xai, openrouter, together, fireworks, cerebras, perplexity, deepinfra, nvidia, ollama, vllm) have defaults for all of it."""

    base_url: Annotated[str, AfterValidator(_address)] = Field(
        default="",
        validate_default=True,
        description="The address of the API, with its version: what an SDK takes as base URL. Known providers have one.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description='The credential that managed keys are replaced by, as `"${NAME}"`; without one, callers bring their own.',
    )
    api_keys: tuple[SecretStr, ...] = Field(default=(), description="Several credentials, used in turn; instead of `api_key`.")
    dialect: Literal["openai", "anthropic", "gemini"] = Field(default="openai", description="The API that it speaks.")
    auth: Literal["bearer", "x-api-key", "x-goog-api-key", "api-key"] = Field(
        default="bearer", description="How it takes the credential: `Authorization: Bearer`, or the header of this name."
    )
    usage_in_streams: Literal["ask", "leave"] = Field(
        default="ask",
        description="Ask for usage in streams whose caller did not (the caller does not see it), or leave requests as they are.",
    )
    own_slashes: bool = Field(
        default=False, description="Its model names have slashes in them, so `upstream/model` is not taken apart for calls to it."
    )
    timeout: TimeoutSettings = Field(default=TimeoutSettings(), description="How long it may take.")
    ca_file: Path | None = Field(
        default=None,
        description="A PEM file of further certificate authorities, for a private upstream. Certificates are always verified.",
    )

    @field_validator("ca_file")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> "UpstreamSettings":
        if self.api_key is not None and self.api_keys:
            raise ValueError("api_key and api_keys are both set; keep one of them")
        for secret in self.credentials:
            if secret.startswith(PREFIX):
                raise ValueError(f"a credential begins with {PREFIX}: that is a key of this gateway, not one of the provider")
            if not secret.isascii() or not secret.isprintable() or " " in secret:
                raise ValueError("a credential is empty or has spaces or unprintable characters in it")
        return self

    @property
    def credentials(self) -> tuple[str, ...]:
        """Return the credentials, in the order of their use."""
        return tuple(key.get_secret_value() for key in ((self.api_key,) if self.api_key is not None else self.api_keys))

    def value(self, name: str) -> Upstream:
        """Return this upstream as the gate knows it."""
        parts = urlsplit(self.base_url)
        scheme: Literal["https", "http"] = "https" if parts.scheme == "https" else "http"
        return Upstream(
            name=name,
            scheme=scheme,
            host=parts.hostname or "",
            port=parts.port or _PORTS[scheme],
            base_path=parts.path.rstrip("/"),
            dialect=self.dialect,
            auth=self.auth,
            credentials=self.credentials,
            ask_usage=self.usage_in_streams == "ask",
            own_slashes=self.own_slashes,
            timeouts=Timeouts(float(self.timeout.connect), float(self.timeout.first_byte), float(self.timeout.idle)),
            ca_file=str(self.ca_file) if self.ca_file is not None else None,
            needs_key=name in KNOWN and KNOWN[name].needs_key,
        )


class ProjectSettings(_Section):
    """A project that keys belong to. `default` always exists."""


class KeySettings(_Section):
    """A key whose secret comes from here and not from the store; only the file can change it."""

    secret: SecretStr = Field(
        description='What apps send, as `"${NAME}"`: `fg-` and at least 17 characters, best 43 random ones.'
    )
    project: str = Field(default=DEFAULT_PROJECT, description="The project that it belongs to.")
    models: tuple[str, ...] = Field(
        default=(),
        description='The models that it may use, as patterns such as `"gpt-4o*"` or, with the upstream in front, `"groq/*"`; none means every model.',
    )
    tags: dict[str, str] = Field(default={}, description="Labels that each of its calls gets.")
    expires: dt.datetime | dt.date | None = Field(default=None, description="When it stops being good: a date or a time.")
    budget: Annotated[str, BeforeValidator(budget_of_key_text)] | None = Field(
        default=None,
        description="What it may spend: `20/month` (US dollars), `500k tokens/day`, `1000 requests/hour`. For more than that, `[[budgets]]`.",
    )
    rpm: int | None = Field(default=None, ge=1, description="The most calls in any minute.")
    tpm: int | None = Field(default=None, ge=1, description="The most tokens in any minute, estimated as calls are sent.")
    parallel: int | None = Field(default=None, ge=1, description="The most calls that run at once.")

    @field_validator("secret")
    @classmethod
    def _ours(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if (
            not text.startswith(PREFIX)
            or len(text) < SHORTEST_SECRET
            or not text.isascii()
            or not text.isprintable()
            or " " in text
        ):
            raise ValueError(
                f'it must begin with {PREFIX} and have at least {SHORTEST_SECRET} characters: echo "{PREFIX}$(openssl rand -hex 32)" makes one'
            )
        return value

    def value(self, name: str) -> ApiKey:
        """Return this key as gate and office know it."""
        secret = self.secret.get_secret_value()
        origin = LOCAL_KEY if name == LOCAL_KEY else "file"
        return ApiKey(
            id=f"{origin}-{name}",
            name=name,
            digest=digest(secret),
            project=self.project,
            models=self.models,
            tags=dict(self.tags),
            hint=hint(secret),
            expires_at=_instant(self.expires),
            origin=origin,
            limits=self._limits(),
        )

    def _limits(self) -> KeyLimits | None:
        limits = KeyLimits(self.rpm, self.tpm, self.parallel)
        return None if limits == KeyLimits() else limits


_Name = Annotated[str, Field(pattern=_NAME)]
_KeyName = Annotated[str, Field(pattern=_KEY_NAME)]


class Settings(_Section):
    """Everything that can be set."""

    server: ServerSettings = Field(default=ServerSettings(), description=ServerSettings.__doc__)
    storage: StorageSettings = Field(default=StorageSettings(), description=StorageSettings.__doc__)
    record: RecordSettings = Field(default=RecordSettings(), description=RecordSettings.__doc__)
    office: OfficeSettings = Field(default=OfficeSettings(), description=OfficeSettings.__doc__)
    upstreams: dict[_Name, UpstreamSettings] = Field(default={}, validate_default=True, description=UpstreamSettings.__doc__)
    projects: dict[_Name, ProjectSettings] = Field(default={}, description=ProjectSettings.__doc__)
    keys: dict[_KeyName, KeySettings] = Field(default={}, description=KeySettings.__doc__)
    budgets: tuple[BudgetSettings, ...] = Field(default=(), description=BudgetSettings.__doc__)
    prices: tuple[PriceSettings, ...] = Field(default=(), description=PriceSettings.__doc__)
    routes: tuple[RouteSettings, ...] = Field(default=(), description=RouteSettings.__doc__)
    rules: tuple[RuleSettings, ...] = Field(default=(), description=RuleSettings.__doc__)
    destinations: DestinationsField = Field(
        default={},
        description="Where spans are sent: a table for each, with its `type` and what that needs (see [destinations](destinations.md)).",
    )
    redaction: RedactionSettings = Field(default=RedactionSettings(), description=RedactionSettings.__doc__)
    price_refresh: PriceRefreshSettings = Field(default=PriceRefreshSettings(), description=PriceRefreshSettings.__doc__)

    @field_validator("upstreams", mode="before")
    @classmethod
    def _with_what_is_known(cls, value: Any) -> Any:
        """Add what is known of each provider, and the providers that always exist."""
        if not isinstance(value, dict):
            return value
        filled: dict[str, Any] = {name: {} for name in ALWAYS} | value
        return {name: defaults_for(name) | told if isinstance(told, dict) else told for name, told in filled.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        wrong = [
            *self._wrong_upstreams(),
            *self._wrong_keys(),
            *self._wrong_budgets(),
            *self._wrong_routes(),
            *self._wrong_rules(),
            *(f"redaction.{line}" for line in self.redaction.wrong()),
        ]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _wrong_upstreams(self) -> Iterator[str]:
        for name in sorted(RESERVED & self.upstreams.keys()):
            yield f"upstreams.{name}: {taken(name)}"
        if self.server.default_upstream not in {*self.upstreams, SIM.name}:
            known = ", ".join(sorted({*self.upstreams, SIM.name}))
            yield f"server.default_upstream: there is no upstream {self.server.default_upstream!r}; there are {known}"

    def _wrong_keys(self) -> Iterator[str]:
        secrets: dict[str, str] = {}
        for name, key in self.keys.items():
            if key.project != DEFAULT_PROJECT and key.project not in self.projects:
                yield f"keys.{name}.project: there is no project {key.project!r}; add [projects.{key.project}]"
            other = secrets.setdefault(key.secret.get_secret_value(), name)
            if other != name:
                yield f"keys.{name}.secret: it is the same as that of keys.{other}; give each its own"

    def _wrong_budgets(self) -> Iterator[str]:
        for number, budget in enumerate(self.budgets):
            scope = budget.value().scope
            if scope.kind == "project" and scope.value not in {None, DEFAULT_PROJECT, *self.projects}:
                yield f"budgets.{number}.scope: there is no project {scope.value!r}; add [projects.{scope.value}]"

    def _wrong_routes(self) -> Iterator[str]:
        return wrong_routes(self.routes, (*self.upstreams, SIM.name))

    def _wrong_rules(self) -> Iterator[str]:
        for name, destination in self.destinations.items():
            wrong = unknown_name(destination.redact, self.redaction.names())
            if wrong:
                yield f"destinations.{name}.redact: {wrong}"
        yield from wrong_rules(self.rules, self.takes(), self.redaction.names())

    def takes(self) -> dict[str, Takes]:
        """Return what each destination takes, by name: spans, events, or both."""
        return {name: destination.TAKES for name, destination in self.destinations.items()}

    def channels(self) -> frozenset[str]:
        """Return the destinations that people read, where nobody wants every call."""
        return frozenset(name for name, destination in self.destinations.items() if destination.CHANNEL)

    def rule_values(self) -> list[RuleValue]:
        """Return the rules about who hears of what, in their order."""
        return rule_values(self.rules)

    @property
    def capture(self) -> Literal["full", "redacted", "none"]:
        """How much of bodies is kept."""
        return self.redaction.capture(self.record.content)

    @property
    def on_loopback(self) -> bool:
        """Whether only programs on this machine can reach the gate."""
        return self.server.host in LOOPBACK

    def upstream_values(self) -> dict[str, Upstream]:
        """Return the upstreams as the gate knows them, by name; `sim` is always among them."""
        return {name: upstream.value(name) for name, upstream in self.upstreams.items()} | {SIM.name: SIM}

    def price_values(self) -> list[Override]:
        """Return the operator's prices."""
        return [price.value(number) for number, price in enumerate(self.prices, 1)]

    def budget_values(self) -> list[Budget]:
        """Return the budgets that the settings define, those of keys among them."""
        by_key = ((name, key.budget) for name, key in self.keys.items() if key.budget is not None)
        return budgets_of(self.budgets, by_key, (budget for _, budget in mirror_budgets(self.routes)))

    def route_values(self) -> list[RouteRule]:
        """Return the routes, in the order in which they are asked."""
        return [route.value(number) for number, route in enumerate(self.routes, 1)]

    def budget_places(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return where each budget of the settings is written, by its id; `places` says where the file has each setting."""
        listed = [f"budgets.{number}" for number in range(len(self.budgets))]
        listed += [f"keys.{name}.budget" for name, key in self.keys.items() if key.budget is not None]
        listed += [place for place, _ in mirror_budgets(self.routes)]
        return {budget.id: places[name] for name, budget in zip(listed, self.budget_values(), strict=True) if name in places}

    def managed_keys(self) -> list[ApiKey]:
        """Return the keys that the settings define: digests, no secrets."""
        return [key.value(name) for name, key in self.keys.items()]

    def with_local_key(self, secret: str) -> "Settings":
        """Return these settings with the key that `faregate up` made for this machine's user."""
        return self.model_copy(update={"keys": {**self.keys, LOCAL_KEY: KeySettings(secret=SecretStr(secret))}})


def _instant(when: dt.datetime | dt.date | None) -> float | None:
    """Return Unix seconds. A date is its first moment, and a time without a zone is meant, in UTC."""
    if when is None:
        return None
    if not isinstance(when, dt.datetime):
        when = dt.datetime.combine(when, dt.time())
    return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
