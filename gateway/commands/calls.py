"""`faregate calls`: recorded calls, as a list."""

import json
import re
from typing import Any

import click

from gateway.asking.client import AdminClient
from gateway.asking.finding import Gateway
from gateway.commands.failure import WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import CALL_HEADINGS, call_row, table

_PAGE = 200
_AGO = re.compile(r"\d{1,6}[smhdw]")
where_option = click.option(
    "--where", help="""Only calls that meet this condition: 'status >= 400 && model.startsWith("gpt")'."""
)


def _ago(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    del ctx, parameter
    if value is not None and not _AGO.fullmatch(value):
        raise WrongUsage(f"--last {value}: write a duration such as 90s, 24h or 7d")
    return value


@click.command()
@where_option
@click.option("--last", callback=_ago, help="Only calls of this long: 24h, 7d.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many at most.")
@json_option
@reaching
def calls(*, where: str | None, last: str | None, limit: int, as_json: bool, gateway: Gateway) -> None:
    """List recorded calls, the newest first; with --json, one call a line."""
    found, more = calls_of(gateway.client(), limit, {"where": where, "from": last})
    if as_json:
        for one in found:
            click.echo(json.dumps(one))
    elif found:
        click.echo(table(CALL_HEADINGS, [call_row(one) for one in found]))
        if more:
            click.echo(f"There are more: --limit {limit * 5}", err=True)
    else:
        click.echo("No call is recorded that meets this. `faregate demo` makes some.", err=True)


def calls_of(client: AdminClient, limit: int, params: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Return at most `limit` calls, the newest first, and whether there are more."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get("/api/v1/calls", {**params, "limit": min(limit - len(found), _PAGE), "cursor": cursor})
        found += page["calls"]
        cursor = page["next_cursor"]
        if cursor is None or len(found) >= limit:
            return found, cursor is not None
