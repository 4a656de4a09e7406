"""Make the packaged snapshot of prices again, from the genai-prices that is installed: `make prices`."""

import datetime as dt
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types as genai
from genai_prices.data import providers

from pricing.compiling import compiled
from pricing.snapshot import PACKAGED


def snapshot() -> dict[str, bytes]:
    """Return the files of the snapshot, by name."""
    return compiled(map(_provider, providers), f"genai-prices {version('genai-prices')}")


def write(folder: Path = PACKAGED) -> None:
    """Write the snapshot, and take away files of providers that are no more."""
    files = snapshot()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in files:
            old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _provider(provider: genai.Provider) -> dict[str, Any]:
    """Return a provider in the shape of the published list."""
    return {
        "id": provider.id,
        "api_pattern": provider.api_pattern,
        "fallback_model_providers": provider.fallback_model_providers,
        "models": [_model(model) for model in provider.models],
    }


def _model(model: genai.ModelInfo) -> dict[str, Any]:
    prices: Any = model.prices
    if isinstance(model.prices, list):
        prices = [{"constraint": _constraint(one.constraint), "prices": _prices(one.prices)} for one in model.prices]
    else:
        prices = _prices(model.prices)
    variants = [
        {"when": one.when, "constraint": _constraint(one.constraint), "prices": _prices(one.prices)}
        for one in model.price_variants or ()
    ]
    found = {"id": model.id, "match": _clause(model.match), "prices": prices, "context_window": model.context_window}
    return found | ({"price_variants": variants} if variants else {})


def _clause(clause: Any) -> dict[str, Any]:
    ((name, value),) = vars(clause).items()
    kind = name.rstrip("_")
    return {kind: [_clause(inner) for inner in value] if isinstance(value, list) else value}


def _constraint(constraint: Any) -> dict[str, str] | None:
    if constraint is None:
        return None
    if isinstance(constraint, genai.StartDateConstraint):
        return {"start_date": constraint.start_date.isoformat()}
    return {"start_time": _utc(constraint.start_time), "end_time": _utc(constraint.end_time)}


def _utc(time: dt.time) -> str:
    moment = dt.datetime.combine(dt.date(2000, 1, 1), time, time.tzinfo or dt.UTC)
    return moment.astimezone(dt.UTC).time().isoformat()


def _prices(prices: genai.ModelPrice) -> dict[str, Any]:
    return dict(_amounts(prices))


def _amounts(prices: genai.ModelPrice) -> Iterator[tuple[str, Any]]:
    for unit, price in vars(prices).items():
        if isinstance(price, genai.TieredPrices):
            yield unit, {"base": price.base, "tiers": [{"start": tier.start, "price": tier.price} for tier in price.tiers]}
        elif price is not None:
            yield unit, price


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{PACKAGED}: {sum(path.stat().st_size for path in PACKAGED.iterdir())} bytes\n")
