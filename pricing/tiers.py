"""What the words mean that providers give for the tier, the place and the speed that served a call.

A word that we do not know is a price that we do not know: it is never taken for the standard one.

Source: the providers' documentation, as ../shared/reference/pricing.md section 2.2 lists it, read 2026-11-20.
"""

from functools import lru_cache
from typing import NamedTuple

BATCH = "batch"
STANDARD = "standard"
_STANDARD = frozenset({"", "default", "standard", "auto", "on_demand", "on-demand", "unspecified", "service_tier_unspecified"})
_ANYWHERE = frozenset({"", "global", "not_available", "unspecified"})
# Paid for beforehand: one call has no price of its own.
_PREPAID = frozenset({"scale", "provisioned", "provisioned_throughput", "reserved"})


class Conditions(NamedTuple):
    """What is special about how a call was served, in small letters; empty where nothing is."""

    tier: str = ""
    batch: bool = False
    geo: str = ""
    speed: str = ""

    @property
    def name(self) -> str:
        """Name the tier: `standard`, `batch`, `priority`, `fast`, `batch+fast`."""
        return "+".join((*((BATCH,) if self.batch else ()), *filter(None, (self.tier, self.speed)))) or STANDARD


@lru_cache(maxsize=512)
def conditions_of(tier: str | None, geo: str | None, speed: str | None, batch: bool) -> Conditions:
    """Return what a provider's words mean."""
    word = _word(tier, _STANDARD)
    return Conditions(
        tier="" if word == BATCH else word,
        batch=batch or word == BATCH,
        geo=_word(geo, _ANYWHERE),
        speed=_word(speed, _STANDARD),
    )


def prepaid(provider: str, tier: str) -> bool:
    """Tell whether a tier is paid for beforehand. Anthropic's "priority" is: it is served from committed capacity."""
    return tier in _PREPAID or (provider == "anthropic" and tier == "priority")


def _word(said: str | None, neutral: frozenset[str]) -> str:
    word = (said or "").strip().lower()
    return "" if word in neutral else word
