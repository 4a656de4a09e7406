"""`faregate prices`: what models cost, what recorded calls cost, prices of one's own, and pricing the past again."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import click

from gateway.asking.client import AdminClient, in_path
from gateway.asking.finding import Gateway
from gateway.commands.failure import WrongUsage
from gateway.commands.options import json_option, pairs
from gateway.commands.price_check import check
from gateway.commands.reaching import reaching
from gateway.commands.tables import NOTHING, clean, local_time, table

_MODEL_HEADINGS = ("upstream", "model", "input", "output", "cache read", "cache write", "source")
_UNITS = ("input", "output", "cache_read", "cache_write")


@click.group()
def prices() -> None:
    """Show what models cost, set prices of your own, and price the past again. Amounts are US dollars."""


@prices.command()
@click.argument("file", required=False, default="-", metavar="[FILE|-]")
def cost(*, file: str) -> None:
    """Say what recorded exchanges cost: JSON lines in, JSON lines out, one for one. Asks no gateway."""
    # The whole of interpreting and pricing, which no other of these commands needs.
    from gateway.commands.costing import Coster, answers  # noqa: PLC0415
    from pricing.book import PriceBook  # noqa: PLC0415

    coster = Coster(PriceBook.packaged())
    with _opened(file) as lines:
        for answer in answers(lines, coster):
            sys.stdout.buffer.write(answer)
            sys.stdout.buffer.flush()


def _opened(file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else open(file, "rb")  # noqa: PTH123 - closed by whoever asked
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read: {error.strerror}") from None


@prices.command(name="list")
@click.option("--upstream", help="Only this upstream's models.")
@click.option("--model", metavar="GLOB", help="Only models of such a name: 'gpt-5*'.")
@click.option("--source", help="Only prices from there: override, correction, genai-prices.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="How many at most.")
@json_option
@reaching
def list_(*, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """List the models that have a price, in US dollars for a million tokens."""
    found = gateway.client().get("/api/v1/prices/models", asked)
    if as_json:
        click.echo(json.dumps(found["models"], indent=2))
        return
    click.echo(table(_MODEL_HEADINGS, [_model_row(row) for row in found["models"]]))
    if found["more"]:
        click.echo(f"There are {found['more']} more: --limit {asked['limit'] + found['more']}", err=True)


def _model_row(row: Mapping[str, Any]) -> list[str | None]:
    amounts = [row[f"{unit}_usd_per_million"] for unit in _UNITS]
    more = "+" if row["tiered"] else ""
    return [row["upstream"], row["model"], *(None if one is None else f"{one}{more}" for one in amounts), row["source"]]


@prices.command()
@click.argument("model")
@click.option("--upstream", help="Only at this upstream.")
@click.option("--at", metavar="TIME", help="At this time, such as 2026-01-31T12:00:00Z, or 24h ago; else now.")
@json_option
@reaching
def show(*, model: str, upstream: str | None, at: str | None, as_json: bool, gateway: Gateway) -> None:
    """Show all about the price of MODEL: tiers, where each rate is from, own prices, limits."""
    found = gateway.client().get(f"/api/v1/prices/models/{in_path(model)}", {"upstream": upstream, "at": at})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found["upstreams"]:
        click.echo(
            f"{clean(one['upstream'])}: {clean(one['listed_as'])} of {clean(one['provider'])}, "
            f"context {one['context_window'] or NOTHING}, output at most {one['max_output_tokens'] or NOTHING} tokens"
        )
        for tier in one["tiers"]:
            click.echo(f"\n  {clean(tier['tier'])}  ({clean(tier['price_ref'])})")
            rows = [_rate_row(rate) for rate in tier["rates"]]
            click.echo("\n".join(f"  {line}" for line in table(("unit", "USD", "for", "beyond", "from"), rows).splitlines()))
        click.echo("")


def _rate_row(rate: Mapping[str, Any]) -> list[str]:
    field = "usd_per_million" if "usd_per_million" in rate else "usd_each"
    beyond = ", ".join(f"{one[field]} above {one['above_input_tokens']:,} input tokens" for one in rate["tiers"])
    return [rate["unit"], rate[field], "a million" if field == "usd_per_million" else "one", beyond, rate["from"]]


@prices.command()
@click.option("--last", default="30d", show_default=True, metavar="30d", help="How far back to look for calls without a price.")
@json_option
@reaching
def unpriced(*, last: str, as_json: bool, gateway: Gateway) -> None:
    """List what was called without a known price."""
    found = gateway.client().get("/api/v1/prices/unpriced", {"from": last})
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found["unpriced"]:
        click.echo("Every call has a price.")
    else:
        rows = [[one["upstream"], one["model"], one["calls"], local_time(one["last_at"])] for one in found["unpriced"]]
        click.echo(table(("upstream", "model", "calls", "last"), rows))
        click.echo("Set a price: faregate prices set --model MODEL --upstream UPSTREAM input=0.10 output=0.40", err=True)


@prices.command(name="set")
@click.argument("amounts", nargs=-1, metavar="[UNIT=USD]...", callback=pairs)
@click.option(
    "--model", metavar="PATTERN", help="The model: a name, a pattern such as 'llama-*', or re: and a regular expression."
)
@click.option("--upstream", metavar="PATTERN", help="The upstream.")
@click.option("--key", help="For calls with this key only.")
@click.option("--project", help="For calls of this project only.")
@click.option("--each", metavar="UNIT=USD", multiple=True, callback=pairs, help="US dollars for one: images=0.04, request=0.005.")
@click.option("--times", metavar="0.85", help="What the list's prices of tokens are multiplied by.")
@click.option("--same-as", metavar="MODEL", help="The model whose prices these are.")
@click.option("--from", "since", metavar="TIME", help="From when on it holds; else always.")
@click.option("--until", metavar="TIME", help="From when on it no longer holds.")
@click.option("--id", "price_id", help="A name for it; else one is made.")
@json_option
@reaching
def set_(*, amounts: dict[str, str], as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Set a price of your own, in US dollars for a million: faregate prices set --model 'llama-*' input=0.10 output=0.40."""
    match = {name: asked[name] for name in ("upstream", "model", "key", "project") if asked[name]}
    fields = {
        "id": asked["price_id"],
        "match": match,
        "per_million_usd": amounts,
        "each_usd": asked["each"],
        "times": asked["times"],
        "same_as": asked["same_as"],
        "from": asked["since"],
        "until": asked["until"],
    }
    made = gateway.client().send("POST", "/api/v1/prices", {name: value for name, value in fields.items() if value})
    if as_json:
        click.echo(json.dumps(made, indent=2))
        return
    past = made["past_calls"]
    click.echo(f"The price {clean(made['id'])} is set, and counts from the next call on.")
    if past["priceable"]:
        least = "" if past["complete"] else "at least "
        click.echo(f"It could price {least}{past['priceable']} calls that have no price yet:\n  {past['reprice']}")


@prices.command()
@click.argument("price_id", metavar="ID")
@json_option
@reaching
def remove(*, price_id: str, as_json: bool, gateway: Gateway) -> None:
    """Take a price of your own back. Calls that it priced keep their cost."""
    gone = gateway.client().send("DELETE", f"/api/v1/prices/{in_path(price_id)}")
    click.echo(json.dumps(gone) if as_json else f"The price {clean(gone['id'])} counts no more.")


@prices.command()
@json_option
@reaching
def own(*, as_json: bool, gateway: Gateway) -> None:
    """List your own prices: those of the settings file, and those that were set."""
    found = gateway.client().get("/api/v1/prices")["prices"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        [one["id"], one["origin"], _named(one["match"]), _named(_amounts(one)), one.get("from"), one.get("until")]
        for one in found
    ]
    click.echo(table(("id", "origin", "for", "USD", "from", "until"), rows))


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _amounts(one: Mapping[str, Any]) -> dict[str, Any]:
    single = {name: one[name] for name in ("times", "same_as") if name in one}
    return {**one.get("per_million_usd", {}), **{f"{unit} each": usd for unit, usd in one.get("each_usd", {}).items()}, **single}


@prices.command()
@click.option("--from", "since", metavar="TIME", required=True, help="From when on: 2026-01-31, 2026-01-31T12:00:00Z, or 7d ago.")
@click.option("--to", "until", metavar="TIME", required=True, help="Until when: a time as for --from, or now.")
@click.option("--where", metavar="CEL", help="Only calls that meet this condition.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@json_option
@reaching
def reprice(*, dry_run: bool, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Price recorded calls again, by today's prices for the time when they were made. Can be done again: it then changes nothing more."""
    body: dict[str, Any] = {"from": asked["since"], "to": asked["until"], "dry_run": dry_run}
    if asked["where"]:
        body["where"] = asked["where"]
    done = _repriced(gateway.client(), body)
    if as_json:
        click.echo(json.dumps(done, indent=2))
        return
    rows = [
        [one["upstream"], one["model"], one["calls"], one["old_usd"], one["new_usd"], one["became_known"]]
        for one in done["moved"]
    ]
    if rows:
        click.echo(table(("upstream", "model", "calls", "was USD", "is USD", "had no price"), rows))
    would = "would change" if dry_run else "changed"
    click.echo(f"Looked at {done['scanned']} calls; {done['changed']} {would}." + (f" Run {done['run']}." if done["run"] else ""))


def _repriced(client: AdminClient, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for one step after another, and return the sum of them."""
    total: dict[str, Any] = {"run": None, "dry_run": body["dry_run"], "scanned": 0, "changed": 0, "moved": []}
    moved: dict[tuple[str, str | None], dict[str, Any]] = {}
    for step in _steps(client, body):
        total |= {
            "run": step["run"],
            "scanned": total["scanned"] + step["scanned"],
            "changed": total["changed"] + step["changed"],
        }
        for one in step["moved"]:
            _add(moved.setdefault((one["upstream"], one["model"]), {}), one)
    return total | {"moved": list(moved.values())}


def _steps(client: AdminClient, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the steps. The first one says what `to` is, so that calls which are made meanwhile are not looked at."""
    while True:
        step = client.send("POST", "/api/v1/prices/reprice", body)
        yield step
        if step["after"] is None:
            return
        body = body | {"after": step["after"], "to": step["to"]} | ({"run": step["run"]} if step["run"] else {})


def _add(total: dict[str, Any], one: Mapping[str, Any]) -> None:
    from decimal import Decimal  # noqa: PLC0415 - costs what most of these commands do not need

    for name, value in one.items():
        if name in {"old_usd", "new_usd"}:
            total[name] = format(Decimal(total.get(name, "0")) + Decimal(value), "f")
        elif isinstance(value, int):
            total[name] = total.get(name, 0) + value
        else:
            total[name] = value


@prices.command()
@click.argument("call_or_run")
@json_option
@reaching
def adjustments(*, call_or_run: str, as_json: bool, gateway: Gateway) -> None:
    """Show what pricing again changed about a call, or in a run, the oldest first."""
    name = "call" if len(call_or_run) > 16 else "run"  # noqa: PLR2004 - a run has sixteen digits
    value = call_or_run.replace("-", "").lower()
    found = gateway.client().get("/api/v1/prices/adjustments", {name: value})["adjustments"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        [local_time(one["made_at"]), one["run"], one["call"], one["old_cost_usd"], one["new_cost_usd"], one["new_price_ref"]]
        for one in found
    ]
    click.echo(table(("time", "run", "call", "was USD", "is USD", "by"), rows))


@prices.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@json_option
@reaching
def refresh(*, dry_run: bool, as_json: bool, gateway: Gateway) -> None:
    """Fetch the price list that price_refresh.url names."""
    found = gateway.client().send("POST", "/api/v1/prices/refresh", {"dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        [one["provider"], one["model"], one["unit"], one["old"], one["new"], "kept the old one" if one["quarantined"] else ""]
        for one in found["moved"]
    ]
    if rows:
        click.echo(table(("provider", "model", "unit", "was USD", "is USD", ""), rows))
    click.echo(
        f"{found['version']}: {found['models']} models, {len(found['added'])} new, {len(found['gone'])} gone, {len(rows)} prices moved."
    )
    click.echo("Nothing was changed." if dry_run or not found["in_force"] else f"It is in force: {found['snapshot'][:12]}.")


prices.add_command(check)
