"""`faregate prices check`: our prices beside another list, or beside what providers reported of recorded calls."""

import json
import os
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from gateway.asking.client import AdminClient
from gateway.asking.finding import data_folder, found_gateway
from gateway.commands.failure import Failed, WrongUsage
from gateway.commands.options import data_option, json_option
from gateway.commands.tables import NOTHING, clean, table

_DRIFT = Decimal("0.01")


@click.command()
@click.option(
    "--against",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another price list: litellm's JSON, or genai-prices'.",
)
@click.option(
    "--last", default="7d", show_default=True, metavar="7d", help="How far back to look for costs that providers reported."
)
@json_option
@click.option("--url", envvar="FAREGATE_URL", help="A gateway elsewhere; FAREGATE_ADMIN_TOKEN lets in.")
@data_option
def check(*, against: Path | None, last: str, as_json: bool, url: str | None, data: Path | None) -> None:
    """Compare our prices with another list (no gateway is needed), or with what providers reported. Exit code 1 where they are 1 % apart or more."""
    found = _reported(found_gateway(url, data).client(), last) if against is None else _against(against, data)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(_told(found))
    if found["apart"]:
        raise SystemExit(1)


def _against(file: Path, data: Path | None) -> dict[str, Any]:
    # Price lists are for this way only.
    from pricing.published import published_book  # noqa: PLC0415
    from pricing.second_source import compared, read_list  # noqa: PLC0415

    try:
        listed = read_list(file.read_bytes())
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise WrongUsage(f"{file}: {error}") from None
    try:
        book = published_book(data_folder(data, os.environ))
    except ValueError as error:
        raise Failed(str(error)) from None
    return compared(book, listed, int(time.time() * 10**9))


def _reported(client: AdminClient, last: str) -> dict[str, Any]:
    """Return what providers reported in recorded calls, beside what we reckon."""
    models: dict[tuple[str, str | None], dict[str, Any]] = {}
    params: dict[str, Any] = {"from": last}
    scanned = 0
    while True:
        step = client.get("/api/v1/prices/drift", params)
        scanned += step["scanned"]
        for one in step["models"]:
            total = models.setdefault((one["upstream"], one["model"]), {"reported_usd": "0", "ours_usd": "0", "furthest": []})
            furthest = total["furthest"] + one["furthest"]
            sums = {name: format(Decimal(total[name]) + Decimal(one[name]), "f") for name in ("reported_usd", "ours_usd")}
            counts = {name: total.get(name, 0) + one[name] for name in ("calls", "unknown")}
            total.update({**one, **sums, **counts, "furthest": furthest[:10]})
        if step["after"] is None:
            break
        params |= {"after": step["after"], "to": step["to"]}
    for total in models.values():
        # Calls without a price of ours are in neither sum.
        reported = Decimal(total["reported_usd"])
        total["drift"] = format((Decimal(total["ours_usd"]) - reported) / reported, ".6f") if reported else None
    apart = [one for one in models.values() if one["drift"] is not None and abs(Decimal(one["drift"])) > _DRIFT]
    return {"kind": "reported", "scanned": scanned, "models": list(models.values()), "apart": apart}


def _told(found: Mapping[str, Any]) -> str:
    if found["kind"] == "list":
        rows = [[one["provider"], one["model"], one["unit"], one["ours"], one["theirs"]] for one in found["apart"]]
        end = f"{found['format']}: {found['compared']} models compared, {found['equal']} equal, {len({(row[0], row[1]) for row in rows})} differ."
        return "\n".join([*([table(("provider", "model", "unit", "ours USD", "theirs USD"), rows)] if rows else []), end])
    lines = [f"{found['scanned']} calls with a cost that the provider reported."]
    for one in found["models"]:
        drift = NOTHING if one["drift"] is None else f"{Decimal(one['drift']):+.2%}"
        lines.append(
            f"{clean(one['upstream'])} {clean(one['model'])}: {one['calls']} calls, reported ${one['reported_usd']}, ours ${one['ours_usd']}, {drift}"
            + (f", {one['unknown']} without a price of ours" if one["unknown"] else "")
        )
        if one in found["apart"]:
            lines += [
                f"  call {call['call']}: reported ${call['reported_usd']}, ours ${call['ours_usd']}" for call in one["furthest"]
            ]
    return "\n".join(lines)
