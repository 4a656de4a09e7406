"""`faregate rules`: whether rules are right, which are in force, and what others would do with recorded calls."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from gateway.asking.finding import Gateway
from gateway.commands.failure import Failed, WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import NOTHING, clean, size_text, table

_PATH = "/api/v1/rules"
_file = click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def rules() -> None:
    """Check rules, list those in force, and try others on recorded calls."""


@rules.command()
@_file
@json_option
def check(*, file: Path | None, as_json: bool) -> None:
    """Check the rules and routes of FILE, or of the file that would be read; exit code 2 where something is wrong.

    FILE may be a settings file, or hold [[rules]] alone: then destinations are those of the settings file.
    """
    # Reading rules needs pydantic and cel; most commands of this group do not.
    from config.loading import settings_file  # noqa: PLC0415
    from config.rule_files import destinations_in, kinds_in  # noqa: PLC0415

    used = settings_file(os.environ)
    path = file or used
    if path is None:
        raise WrongUsage("There is no settings file here; name one: faregate rules check FILE")
    found = _read(path, destinations_in(used), kinds_in(used))
    problems = [{"place": one.place, "rule": one.rule, "setting": one.setting, "message": one.message} for one in found.problems]
    if as_json:
        click.echo(
            json.dumps({"valid": not problems, "file": str(path), "rules": len(found.values), "problems": problems}, indent=2)
        )
    if problems:
        raise _wrong(found.problems)
    if not as_json:
        click.echo(f"{path}: {_counted(len(found.values), 'rule')} and {_counted(len(found.routes or ()), 'route')}, all right.")


@rules.command(name="list")
@json_option
@reaching
def list_(*, as_json: bool, gateway: Gateway) -> None:
    """List the rules in force, in their order; every one that matches counts."""
    found = gateway.client().get(_PATH)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [_row(rule) for rule in (*found["rules"], *found["implicit"])]
    if rows:
        click.echo(table(("rule", "about", "sends to", "sample", "more", "defined in"), rows))
    else:
        click.echo("There is no rule, and no destination to send anything to. Add [destinations.NAME] to the settings.", err=True)


@rules.command()
@_file
@click.option("--last", type=click.IntRange(1, 20_000), help="Try them on so many calls, the newest (1000).")
@click.option("--from", "from_", metavar="TIME", help="Calls since then: 24h, or 2026-11-01.")
@click.option("--to", metavar="TIME", help="Calls before then.")
@click.option("--where", metavar="CEL", help="Only calls that meet this condition.")
@click.option("--explain", metavar="ID", help="Say what every rule decides about this one call.")
@json_option
@reaching
def test(*, file: Path | None, from_: str | None, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Try the rules and routes of FILE, or those in force, on recorded calls; nothing is sent anywhere.

    Shows for each rule what it matches, and for each destination what it would get more and less than by the rules in force.
    """
    client = gateway.client()
    body = {"from": from_, **asked}
    if file is not None:
        found = _read(file, client.get(_PATH)["destinations"])
        if found.problems:
            raise _wrong(found.problems)
        body |= {"rules": found.rules, "routes": found.routes}
        _say_what_stays(found)
    told = client.send("POST", f"{_PATH}/test", {name: value for name, value in body.items() if value is not None})
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif "decisions" in told:
        _print_explained(told)
    else:
        _print_tried(told)


def _read(path: Path, takes: Mapping[str, Any], kinds: Collection[str] | None = None) -> Any:
    # Reading rules needs pydantic and cel; most commands of this group do not.
    from config.errors import SettingsError  # noqa: PLC0415
    from config.rule_files import read_rule_file  # noqa: PLC0415

    try:
        return read_rule_file(path, takes, kinds)
    except SettingsError as error:
        raise WrongUsage("\n".join(error.problems)) from None


def _say_what_stays(found: Any) -> None:
    """Say what a file says nothing of: there, what is in force counts."""
    for name, documents in (("rules", found.rules), ("routes", found.routes)):
        if documents is None:
            click.echo(f"{found.path} has no [[{name}]]: those in force stay (`{name} = []` would try it without any).", err=True)


def _wrong(problems: Sequence[Any]) -> Failed:
    head = "One thing is wrong:" if len(problems) == 1 else f"{len(problems)} things are wrong:"
    return WrongUsage("\n  ".join([head, *(str(problem) for problem in problems)]))


def _row(rule: Mapping[str, Any]) -> list[Any]:
    about = " ".join(rule["events"]) + (" when " if rule["events"] and rule["when"] else "") + (rule["when"] or "")
    sends = [*rule["send_to"], *(f"{name} {weight:g}" for name, weight in rule["split"].items())]
    sample = None if rule["sample"] == 1 else f"{rule['sample']:g} by {rule['sample_by']}"
    more = [
        "" if rule["enabled"] else "switched off",
        "drops" if rule["drop"] else "",
        f"always {rule['always']}" if rule["always"] else "",
        f"sets {', '.join(rule['set'])}" if rule["set"] else "",
        f"content {rule['content']}" if rule["content"] else "",
        f"otherwise {rule['otherwise']}" if rule["otherwise"] else "",
    ]
    return [rule["name"], about or "every call", ", ".join(sends), sample, "; ".join(filter(None, more)), rule["place"]]


def _print_explained(told: Mapping[str, Any]) -> None:
    for decision in told["decisions"]:
        click.echo(f"{'✓' if decision['matched'] else '✗'} {clean(decision['rule'])}: {clean(decision['why'])}")
    for name, value in told["values"].items():
        click.echo(f"  {name} = {clean(json.dumps(value, ensure_ascii=False))}")
    if not told["owed"]:
        click.echo("Nobody is told of it.")
    for owed in told["owed"]:
        parts = [f"content {owed['content']}"]
        parts += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in owed["set"].items()]
        parts += [f"otherwise {owed['otherwise']}"] if owed["otherwise"] else []
        click.echo(f"→ {clean(owed['destination'])} ({clean(', '.join(parts))})")


def _print_tried(told: Mapping[str, Any]) -> None:
    if not told["calls"]:
        click.echo("There are no recorded calls to try them on.", err=True)
        return
    click.echo(
        f"{_counted(told['calls'], 'call')} from {told['from']} to {told['to']}"
        + ("" if told["complete"] else " (as many as there was time for)")
    )
    rows = [[one["rule"], one["matched"], f"{one['share']:.1%}", _usd(one), _main_reason(one)] for one in told["rules"]]
    click.echo("\n" + table(("rule", "matched", "share", "cost", "most others"), rows))
    rows = [_destination_row(one) for one in told["destinations"]]
    if rows:
        click.echo("\n" + table(("destination", "now", "then", "gained", "lost", "changed", "bodies now", "then"), rows))
    nobody = told["told_to_nobody"]
    click.echo(f"\nTold to nobody: {nobody['before']} now, {nobody['after']} then.")
    if told["routes"] is not None:
        _print_routes(told["routes"])


def _destination_row(one: Mapping[str, Any]) -> list[Any]:
    counts = [one[name] for name in ("calls_before", "calls_after", "gained", "lost", "changed")]
    return [one["destination"], *counts, size_text(one["bytes_before"]), size_text(one["bytes_after"])]


def _print_routes(told: Mapping[str, Any]) -> None:
    rows = [[one["route"], one["matched"]] for one in told["routes"]]
    click.echo("\n" + table(("route", "matched"), rows))
    rows = [[one["from"], one["to"], one["calls"], _delta(one)] for one in told["changes"]]
    if rows:
        click.echo("\n" + table(("upstream now", "then", "calls", "change of cost"), rows))


def _delta(one: Mapping[str, Any]) -> str:
    return "unknown" if one["cost_change_usd"] is None else f"${one['cost_change_usd']}"


def _main_reason(one: Mapping[str, Any]) -> str | None:
    return f"{one['why_not'][0]['why']} ({one['why_not'][0]['calls']})" if one["why_not"] else None


def _usd(one: Mapping[str, Any]) -> str:
    if one["cost_usd"] is None:
        return "unknown"
    return f"${one['cost_usd']}" if one["matched"] else NOTHING


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
