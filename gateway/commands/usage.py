"""`faregate usage`: what was called and spent, summed up by anything."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from gateway.asking.finding import Gateway
from gateway.commands.failure import WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import NOTHING, table

BY = ("project", "key", "model", "upstream", "section", "customer", "outcome", "cost_status")
STEPS = ("hour", "day", "week", "month", "quarter")
_FILTERS = BY[:-1]
_SUMS = ("calls", "cost_usd", "unknown_cost_calls", "estimated_calls", "estimated_cost_usd", "latency_ms_mean")
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
REST, TOTAL = "(rest)", "total"


def _names(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names to sum by, given one by one or with commas."""
    del ctx
    names = tuple(name.strip() for text in value for name in text.split(","))
    for name in names:
        if name not in BY:
            raise WrongUsage(f"{parameter.opts[0]} {name}: choose among {', '.join(BY)}")
    return tuple(dict.fromkeys(names))


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    for name in reversed(_FILTERS):
        text = "Only this section and all below it." if name == "section" else f"Only this {name}; '' means calls without one."
        function = click.option(f"--{name}", help=text)(function)
    return function


@click.command()
@click.option("--by", multiple=True, callback=_names, metavar="|".join(BY), help="Sum by this; may be there several times.")
@click.option("--last", metavar="7d", help="This long, until now (7d).")
@click.option("--from", "from_", metavar="TIME", help="From this time or day on, in the zone of --tz.")
@click.option("--to", metavar="TIME", help="Before this time or day.")
@click.option(
    "--tz", metavar="ZONE", help="A time zone such as Europe/Paris (UTC): of --from and --to, and of the days of --step."
)
@click.option("--step", type=click.Choice(STEPS), help="Sums for each of these.")
@_filters
@click.option("--section-depth", type=click.IntRange(1, 20), help="Sum sections up to so many parts of their paths.")
@click.option("--no-estimated", is_flag=True, help="Leave out calls with an estimated cost.")
@click.option("--limit", type=click.IntRange(1, 100_000), help="How many groups at most (1000); the others are one sum.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@reaching
def usage(*, by: tuple[str, ...], as_csv: bool, as_json: bool, no_estimated: bool, gateway: Gateway, **asked: Any) -> None:
    """Sum up calls, tokens and cost. `~` marks a sum with estimates in it; what has no known cost is counted beside it."""
    params = {"from" if name == "from_" else name: value for name, value in asked.items()}
    params |= {"by": ",".join(by) or None, "estimated": "exclude" if no_estimated else None}
    found = gateway.client().get("/api/v1/usage", params)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif as_csv:
        _print_csv(found)
    else:
        _print_table(found)


def _print_table(found: Mapping[str, Any]) -> None:
    stepped = found["step"] is not None
    headings = [*([found["step"]] if stepped else []), *found["by"], "calls", "cost", "cost unknown", "in", "cached", "out"]
    rows = [_row(row, found["by"], stepped=stepped) for row in _rows(found)]
    total = {**dict.fromkeys(found["by"], ""), "start": TOTAL, **found["totals"]}
    if found["by"] and not stepped:
        total[found["by"][0]] = TOTAL
    click.echo(table(headings, [*rows, _row(total, found["by"], stepped=stepped)] if found["by"] or stepped else rows))
    if found["folded_calls"]:
        click.echo(
            f"{found['folded_calls']} calls are in (other): there were too many different customers or sections.", err=True
        )


def _rows(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table: those of groups, of periods where there are no groups, and the sum of the others."""
    if found["by"]:
        yield from found["rows"]
        yield from ({**row, **dict.fromkeys(found["by"], REST)} for row in found["rest"])
    else:
        yield from found["periods"] or [found["totals"]]


def _row(row: Mapping[str, Any], by: Sequence[str], *, stepped: bool) -> list[Any]:
    used = row["usage"]
    when = [row["start"][:16].replace("T", " ")] if stepped else []
    tokens = [used["input_tokens"], used["cache_read_tokens"], used["output_tokens"]]
    return [*when, *(row[name] for name in by), row["calls"], cost_text(row), row["unknown_cost_calls"] or None, *tokens]


def cost_text(sums: Mapping[str, Any]) -> str:
    """Return a sum of costs as people read it: `~` before one that has estimates in it; unknown is not free."""
    if sums["cost_usd"] is None:
        return "unknown"
    if not sums["calls"]:
        return NOTHING
    return f"{'~' if sums['estimated_calls'] else ''}${sums['cost_usd']}"


def _print_csv(found: Mapping[str, Any]) -> None:
    tokens = list(found["totals"]["usage"])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["start", "end", *found["by"], *_SUMS, *tokens])
    for row in _rows(found):
        period = [row.get("start", found["from"]), row.get("end", found["to"])]
        groups = [_harmless(row[name]) for name in found["by"]]
        writer.writerow([*period, *groups, *(row[name] for name in _SUMS), *(row["usage"][name] for name in tokens)])


def _harmless(text: str | None) -> str | None:
    """Return a name that callers chose as text that no spreadsheet runs."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text
