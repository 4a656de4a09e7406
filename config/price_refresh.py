"""Where a newer price list is fetched from: `[price_refresh]`."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from config.durations import Duration

SHORTEST = 60
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class PriceRefreshSettings(BaseModel):
    """Fetching a newer price list now and then. Off until a URL is named; the prices that came with this version count then."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(
        default="",
        description="Where the list is, in the JSON that genai-prices publishes (`https://…/data.json`), or a mirror of it; empty: never. Redirects are not followed.",
    )
    every: Duration = Field(default=Duration(86_400, "24h"), description="How often to fetch it; at least every minute.")

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if value and not (safe and parts.hostname and parts.username is None):
            raise ValueError("write an https:// address without a user; http:// is for this machine only")
        return value

    @field_validator("every")
    @classmethod
    def _not_all_the_time(cls, value: Duration) -> Duration:
        if value < SHORTEST:
            raise ValueError("it must be at least a minute")
        return value
