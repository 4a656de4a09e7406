"""`faregate budgets`: what may be spent, by whom, in which window, and how much of it is left."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from domain.budget_text import limit_and_window_of, limit_of, scope_of, scope_text, usd_text, window_text
from gateway.asking.client import AdminClient, in_path
from gateway.asking.finding import Gateway
from gateway.commands.failure import Failed, WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import NOTHING, clean, local_time, table

_HEADINGS = ("scope", "limit", "window", "spent", "held", "left", "ends", "mode", "defined in", "id")
_PATH = "/api/v1/budgets"


@click.group()
def budgets() -> None:
    """Set, list, show, raise and remove budgets."""


@budgets.command(name="set")
@click.argument("scope")
@click.argument("limit", metavar="LIMIT/WINDOW")
@click.option("--mode", type=click.Choice(["strict", "balanced", "soft"]), help="How strictly it is kept (balanced).")
@click.option("--tz", "timezone", metavar="ZONE", help="The time zone of its windows (UTC).")
@click.option("--anchor", type=click.IntRange(1, 31), help="The day that a week, month or quarter begins on (1).")
@click.option("--warn-at", type=click.FloatRange(0, 1, min_open=True), multiple=True, help="Warn at this share of the limit.")
@click.option("--unpriced", metavar="deny|allow|USD", help="What becomes of calls without a known price (deny).")
@click.option("--when-ledger-is-down", type=click.Choice(["closed", "open", "slice"]), help="What is done then (slice).")
@click.option("--clamp", is_flag=True, help="Lower a call's maximum output to what is left.")
@click.option("--per-call", "per_call_usd", metavar="USD", help="The most that one call may cost.")
@click.option("--status", type=click.Choice(["429", "402"]), help="The status of a refusal (429).")
@json_option
@reaching
def set_(*, scope: str, limit: str, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Set what SCOPE may spend: `faregate budgets set key:ci 20/month`.

    SCOPE is key:NAME, project:P, customer:C, tag:k=v, model:GLOB, all, or a sum for each: "each customer". LIMIT is in US dollars,
    or "500k tokens", "1000 requests". WINDOW is hour, day, week, month, quarter, total, or rolling:24h.
    """
    body = _body(scope, limit) | {name: value for name, value in asked.items() if value not in (None, False, ())}
    if "status" in body:
        body["status"] = int(body["status"])
    made = gateway.client().send("POST", _PATH, body)
    _print([made], as_json=as_json)


@budgets.command(name="list")
@json_option
@reaching
def list_(*, as_json: bool, gateway: Gateway) -> None:
    """List all budgets."""
    found = _all(gateway.client())
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo(table(_HEADINGS, [_row(budget) for budget in found]))
    else:
        click.echo("There is no budget. `faregate budgets set key:NAME 20/month` sets one.", err=True)


@budgets.command()
@click.argument("scope")
@json_option
@reaching
def show(*, scope: str, as_json: bool, gateway: Gateway) -> None:
    """Show the budgets of a scope, or the one with an id: members, what was added to the limit, warnings."""
    client = gateway.client()
    found = [client.get(f"{_PATH}/{in_path(budget['id'])}") for budget in _meant(client, scope)]
    _print(found, as_json=as_json)


@budgets.command(name="raise")
@click.argument("scope")
@click.argument("amount")
@click.option("--windows", type=click.IntRange(1, 1000), help="For so many windows, this one counted (1).")
@click.option("--reason", help="Why; it is kept.")
@json_option
@reaching
def raise_(*, scope: str, amount: str, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Add AMOUNT to the limit of a budget, for a time."""
    client = gateway.client()
    budget = _one(client, scope)
    more, unit = _read(amount if budget["unit"] == "usd" or " " in amount else f"{amount} {budget['unit']}", limit_of)
    if unit != budget["unit"]:
        raise WrongUsage(f"{amount}: this budget is in {'US dollars' if budget['unit'] == 'usd' else budget['unit']}")
    body = {"amount_usd": usd_text(more)} if unit == "usd" else {"amount": more}
    body |= {name: value for name, value in asked.items() if value is not None}
    _print([client.send("POST", f"{_PATH}/{in_path(budget['id'])}/raises", body)], as_json=as_json)


@budgets.command()
@click.argument("scope")
@json_option
@reaching
def remove(*, scope: str, as_json: bool, gateway: Gateway) -> None:
    """Remove a budget. What was spent stays known: set again, it goes on from there."""
    client = gateway.client()
    removed = client.send("DELETE", f"{_PATH}/{in_path(_one(client, scope)['id'])}")
    click.echo(json.dumps(removed) if as_json else f"The budget {clean(removed['scope'])} {clean(removed['text'])} is removed.")


def _body(scope: str, limit: str) -> dict[str, Any]:
    """Return the part of a budget that its two arguments say."""
    amount, unit, window = _read(limit, limit_and_window_of)
    fields: dict[str, Any] = {"scope": scope_text(_read(scope, scope_of)), "window": window_text(window)}
    return fields | ({"limit_usd": usd_text(amount)} if unit == "usd" else {f"limit_{unit}": amount})


def _read(text: str, read: Any) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise WrongUsage(str(error)) from None


def _all(client: AdminClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(_PATH)["budgets"]
    return found


def _meant(client: AdminClient, scope: str) -> list[dict[str, Any]]:
    """Return the budgets with this id or scope.

    Raises:
        Failed: there is none.
    """
    found = [budget for budget in _all(client) if scope in {budget["id"], budget["scope"], budget["name"]}]
    if not found:
        raise Failed(f"There is no budget {clean(scope)}.\n`faregate budgets list` shows all.")
    return found


def _one(client: AdminClient, scope: str) -> dict[str, Any]:
    found = _meant(client, scope)
    if len(found) > 1:
        ids = "\n".join(f"  {clean(budget['id'])}  {clean(budget['text'])}" for budget in found)
        raise Failed(f"{clean(scope)} has several budgets; say which, by its id:\n{ids}")
    return found[0]


def _print(found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found[0] if len(found) == 1 else list(found), indent=2))
        return
    for budget in found:
        for heading, value in zip(_HEADINGS, _row(budget), strict=True):
            click.echo(f"{heading:11} {clean(value or NOTHING)}")
        _print_parts(budget)


def _print_parts(budget: Mapping[str, Any]) -> None:
    for raised in budget["raises"]:
        until = "for good" if raised["until"] is None else f"until {local_time(raised['until'])}"
        click.echo(f"raised      by {raised['amount']} {until} {clean(raised['reason'])}".rstrip())
    for warning in budget["warnings"]:
        member = f" {clean(warning['member'])}" if warning["member"] else ""
        click.echo(f"warned      {local_time(warning['at'])} at {warning['threshold']:.0%} of {warning['limit']}{member}")
    if budget["members"]:
        rows = [[member[name] for name in ("member", "spent", "held", "remaining")] for member in budget["members"]]
        click.echo(table(("member", "spent", "held", "left"), rows))


def _row(budget: Mapping[str, Any]) -> list[Any]:
    raised = budget["effective_limit"] != budget["limit"]
    unit = "$" if budget["unit"] == "usd" else ""
    limit = f"{unit}{budget['limit']}" + (f" {budget['unit']}" if not unit else "")
    limit += f" (now {unit}{budget['effective_limit']})" if raised else ""
    ends = local_time(budget["window_end"]) if budget["window_end"] else None
    sums = [budget["ledger"] if budget["ledger"] != "ok" else budget[name] for name in ("spent", "held", "remaining")]
    where = budget["place"] or ("the store" if budget["origin"] == "database" else budget["origin"])
    named = [None if value is None else f"{unit}{value}" if budget["ledger"] == "ok" else value for value in sums]
    tail = [ends, budget["mode"], where, budget["id"]]
    return [budget["scope"], limit, budget["window"], *named, *tail]
