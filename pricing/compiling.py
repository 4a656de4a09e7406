"""Bring the price list of genai-prices into the form that we ship and read: one small file for each provider, one line for each model.

Used when the packaged snapshot is made (`make prices`), and when a newer list is fetched. Prices stay texts, so that nothing is rounded.

Source: the published list, https://github.com/pydantic/genai-prices (`prices/new_data/v2/data.json`, MIT), and its schema, read 2026-11-21.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

INDEX = "providers.json"
LICENCE = "MIT, copyright Pydantic Services Inc. and contributors, https://github.com/pydantic/genai-prices"
_CLAUSES = frozenset({"equals", "starts_with", "ends_with", "contains", "regex"})
_LISTS = frozenset({"or", "and"})
_ID = re.compile(r"[a-z0-9_.-]{1,64}")


class BadPrices(ValueError):
    """A price list that cannot be used; the message says where it is wrong."""


def raw_list(text: str | bytes) -> list[Any]:
    """Return a published price list as JSON, its prices as text.

    Raises:
        BadPrices: it is not a list of providers.
    """
    try:
        raw = json.loads(text, parse_float=str)
    except ValueError as error:
        raise BadPrices(f"the price list is no JSON: {error}") from None
    if not isinstance(raw, list):
        raise BadPrices("the price list is no list of providers")
    return raw


def compiled(raw: Iterable[Any], version: str) -> dict[str, bytes]:
    """Return the files of a snapshot by their names. `version` says what it was made from.

    Raises:
        BadPrices: something in it has a shape that we do not know.
    """
    files: dict[str, bytes] = {}
    index = []
    for provider in raw:
        name = provider.get("id") if isinstance(provider, Mapping) else None
        if not isinstance(name, str) or not _ID.fullmatch(name) or f"{name}.jsonl" in files:
            raise BadPrices(f"a provider has no usable id: {name!r}")
        models = [_model(name, model) for model in provider.get("models", [])]
        files[f"{name}.jsonl"] = "".join(f"{_text(model)}\n" for model in models).encode()
        index.append(
            {
                "id": name,
                "api_pattern": _regex(name, provider.get("api_pattern")),
                "fallback": list(provider.get("fallback_model_providers") or ()),
                "models": len(models),
            }
        )
    head = f'{{"version":{_text(version)},"sha256":"{digest_of(files)}","licence":"{LICENCE}","providers":[\n'
    files[INDEX] = (head + ",\n".join(_text(provider) for provider in index) + "\n]}\n").encode()
    return files


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return what tells one snapshot from another."""
    return hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _regex(where: str, pattern: Any) -> str:
    if not isinstance(pattern, str):
        raise BadPrices(f"{where}: a pattern is missing")
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadPrices(f"{where}: the pattern {pattern!r} is none: {error}") from None
    return pattern


def _model(provider: str, model: Any) -> dict[str, Any]:
    if not isinstance(model, Mapping) or not isinstance(model.get("id"), str):
        raise BadPrices(f"{provider}: a model has no id")
    where = f"{provider}/{model['id']}"
    line: dict[str, Any] = {"id": model["id"], "match": _clause(where, model.get("match"))}
    if isinstance(model.get("context_window"), int):
        line["context"] = model["context_window"]
    prices = model.get("prices")
    conditional = prices if isinstance(prices, list) else [{"prices": prices}]
    if not conditional:
        raise BadPrices(f"{where}: it has no prices")
    line["prices"] = [[_constraint(where, one.get("constraint")), _prices(where, one.get("prices"))] for one in conditional]
    variants = model.get("price_variants") or []
    if variants:
        line["variants"] = [
            [_when(where, one.get("when")), _constraint(where, one.get("constraint")), _prices(where, one.get("prices"))]
            for one in variants
        ]
    return line


def _clause(where: str, clause: Any) -> list[Any]:
    """Return a condition on a model's name as `[kind, text]` or `[kind, [conditions]]`."""
    if not isinstance(clause, Mapping) or len(clause) != 1:
        raise BadPrices(f"{where}: a condition on names has a shape that we do not know")
    kind, value = next(iter(clause.items()))
    if kind in _LISTS and isinstance(value, list) and value:
        return [kind, [_clause(where, inner) for inner in value]]
    if kind in _CLAUSES and isinstance(value, str):
        return [kind, _regex(where, value) if kind == "regex" else value.lower()]
    raise BadPrices(f"{where}: a condition on names has a shape that we do not know: {kind!r}")


def _when(where: str, when: Any) -> dict[str, str]:
    if not isinstance(when, Mapping) or not when or not all(isinstance(value, str) for value in when.values()):
        raise BadPrices(f"{where}: a variant says not when it counts")
    return dict(when)


def _constraint(where: str, constraint: Any) -> list[str] | None:
    """Return when a price holds: None (always), `[date]`, or `[start, end]` as times of the day in UTC."""
    if constraint is None:
        return None
    if isinstance(constraint, Mapping):
        if set(constraint) == {"start_date"} and re.fullmatch(r"\d{4}-\d\d-\d\d", str(constraint["start_date"])):
            return [str(constraint["start_date"])]
        if set(constraint) == {"start_time", "end_time"}:
            return [_time(where, constraint["start_time"]), _time(where, constraint["end_time"])]
    raise BadPrices(f"{where}: a condition on time has a shape that we do not know")


def _time(where: str, value: Any) -> str:
    found = re.fullmatch(r"(\d\d:\d\d(?::\d\d)?)(?:\.0+)?(?:Z|\+00:00)?", str(value))
    if not found:
        raise BadPrices(f"{where}: {value!r} is no time of the day in UTC")
    return found[1]


def _prices(where: str, prices: Any) -> dict[str, Any]:
    if not isinstance(prices, Mapping):
        raise BadPrices(f"{where}: its prices are no table")
    return {str(unit): _price(f"{where}: {unit}", price) for unit, price in prices.items() if price is not None}


def _price(where: str, price: Any) -> Any:
    """Return a price as text, or as `[price, [[above, price], ...]]` with its thresholds rising."""
    if not isinstance(price, Mapping):
        return _amount(where, price)
    tiers = price.get("tiers")
    if not isinstance(tiers, list) or not all(isinstance(tier, Mapping) and type(tier.get("start")) is int for tier in tiers):
        raise BadPrices(f"{where}: its tiers have a shape that we do not know")
    rising = sorted(tiers, key=lambda tier: tier["start"])
    return [_amount(where, price.get("base")), [[tier["start"], _amount(where, tier.get("price"))] for tier in rising]]


def _amount(where: str, value: Any) -> str:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise BadPrices(f"{where}: {value!r} is no price") from None
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount < 10**9:
        raise BadPrices(f"{where}: {value!r} is no price")
    return format(amount.normalize(), "f")
