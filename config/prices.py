"""Prices of the operator's own, as the file has them: `[[prices]]`."""

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.prices import Override
from pricing.override_documents import override_of

Amount = str | int | float
_TABLE = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class PriceMatch(BaseModel):
    """What a price is for; at least one of these. A model, and an upstream, is a name, a pattern such as `llama-*`, or `re:` and a regular expression."""

    model_config = _TABLE

    upstream: str | None = Field(default=None, description="The upstream's name; none means every one.")
    model: str | None = Field(
        default=None, description="The model, as it is asked for, as it was served, or as price lists name it."
    )
    key: str | None = Field(
        default=None, description="The key's name: this price is for its calls only, and goes before all others."
    )
    project: str | None = Field(default=None, description="The project: this price is for its calls only.")


class TierPrices(BaseModel):
    """What a tier costs: `batch`, `flex`, `priority`, or another one by the name that the provider gives it."""

    model_config = _TABLE

    per_million_usd: dict[str, Amount] = Field(default={}, description="US dollars for a million, by unit.")
    each_usd: dict[str, Amount] = Field(default={}, description="US dollars for one, by unit.")


class PriceSettings(BaseModel):
    """Prices of your own, over those of the list. The most specific one counts: a key's before a project's before one for all, a name before a pattern before a regular expression, a later start before an earlier one. What it does not name costs what the list says."""

    model_config = _TABLE

    id: str | None = Field(default=None, description="What price references call it; without one, its place in the file.")
    match: PriceMatch = Field(description=PriceMatch.__doc__)
    per_million_usd: dict[str, Amount] = Field(
        default={},
        description="US dollars for a million, best as text: `input`, `output`, `cache_read`, `cache_write`, `input_audio`, `reasoning`, `characters`, … A kind of token without a price of its own costs what the wider kind costs.",
    )
    each_usd: dict[str, Amount] = Field(
        default={}, description="US dollars for one: `images`, `request`, `audio_seconds`, `pages`, `web`, `rerank`, …"
    )
    tiers: dict[str, TierPrices] = Field(default={}, description=TierPrices.__doc__)
    times: Amount | None = Field(
        default=None, description='What the list\'s prices of tokens are multiplied by: `"0.85"` is 15 % off.'
    )
    same_as: str | None = Field(
        default=None, description="The model whose prices these are, for a deployment with a name of its own."
    )
    since: dt.datetime | dt.date | None = Field(
        default=None, alias="from", description="From when on it holds: a date or a time."
    )
    until: dt.datetime | dt.date | None = Field(default=None, description="From when on it no longer holds.")

    @model_validator(mode="after")
    def _a_price(self) -> "PriceSettings":
        self.value(0)
        return self

    def value(self, number: int) -> Override:
        """Return this price as pricing knows it; `number` is its place in the file."""
        return override_of(self._document(), price_id=f"file-{number}", origin="file")

    def _document(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
