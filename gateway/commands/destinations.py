"""`faregate destinations`: where spans are sent, how that stands, what died and why, and how it is sent again."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click

from gateway.asking.client import AdminClient, in_path
from gateway.asking.finding import Gateway
from gateway.commands.failure import WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import NOTHING, clean, local_time, size_text, table

# A test waits for the destination's answer, which may take its time.
TEST_PATIENCE = 90.0
FOLLOW_SECONDS = 1.0
LONGEST_ERROR = 80
_PATH = "/api/v1/destinations"
_HEADINGS = ("name", "type", "state", "accepted", "delivered", "pending", "dead", "oldest", "last ok", "defined in")
_DEAD_HEADINGS = ("died", "kind", "status", "tries", "error", "id")
_REPLAY_HEADINGS = ("begun", "destination", "state", "looked at", "owed", "per second", "condition", "id")
_STEPS = ((86_400, "d"), (3600, "h"), (60, "m"))


@click.group()
def destinations() -> None:
    """Show, test and mend where spans are sent."""


@destinations.command(name="list")
@json_option
@reaching
def list_(*, as_json: bool, gateway: Gateway) -> None:
    """List all destinations and how they stand."""
    found = gateway.client().get(_PATH)["destinations"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo(table(_HEADINGS, [_row(one) for one in found]))
    else:
        click.echo("There is no destination. Write a table [destinations.NAME] into faregate.toml.", err=True)


@destinations.command()
@click.argument("name")
@json_option
@reaching
def show(*, name: str, as_json: bool, gateway: Gateway) -> None:
    """Show one destination: its settings, how it stands, and its replays."""
    found = gateway.client().get(f"{_PATH}/{in_path(name)}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for heading, value in _facts(found).items():
        click.echo(f"{heading:12} {clean(NOTHING if value in (None, '') else value)}")
    if found["replays"]:
        click.echo(table(_REPLAY_HEADINGS, [_replay_row(one) for one in found["replays"]]))


@destinations.command()
@click.argument("name")
@json_option
@reaching
def test(*, name: str, as_json: bool, gateway: Gateway) -> None:
    """Send a real span to NAME through the real queue, and say where to look. The exit code is 1 if it did not arrive."""
    client = AdminClient(gateway.url, gateway.token, patience=TEST_PATIENCE)
    found = client.send("POST", f"{_PATH}/{in_path(name)}/test", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{'✓' if found['ok'] else '✗'} {clean(found['message'])}")
        if found["ok"] and found["look_at"]:
            click.echo(f"  {clean(found['look_at'])}")
        for heading, value in (("call", found["call_id"]), ("trace", found["trace_id"])):
            if value:
                click.echo(f"  {heading:6} {clean(value)}")
    sys.exit(0 if found["ok"] else 1)


def _choosing(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose among dead deliveries; the command gets them as one `chosen`."""

    @wraps(function)
    def with_chosen(*, id_: tuple[str, ...], kind: str | None, where: str | None, **others: Any) -> None:
        period = {"from": others.pop("from_"), "to": others.pop("to")}
        given = {"kind": kind, "where": where, "ids": list(id_) or None, **period}
        function(chosen={name: value for name, value in given.items() if value is not None}, **others)

    command: Callable[..., None] = with_chosen
    for option in (
        click.option("--to", metavar="TIME", help="Those that were owed before this time."),
        click.option("--from", "from_", metavar="TIME", help="Those that were owed from this time on, or so long ago: 24h."),
        click.option("--where", metavar="CEL", help="Those whose call meets this condition."),
        click.option("--kind", metavar="KIND", help="Those that died of this: rejected, expired, too_large, gave_up, …"),
        click.option("--id", "id_", multiple=True, help="The one of this call or event; may be there several times."),
    ):
        command = option(command)
    return command


@destinations.command()
@click.argument("name")
@_choosing
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many at most, the newest first.")
@json_option
@reaching
def failed(*, name: str, chosen: Mapping[str, Any], limit: int, as_json: bool, gateway: Gateway) -> None:
    """List what died on its way to NAME, and why."""
    ids = chosen.get("ids", ())
    if len(ids) > 1:
        raise WrongUsage("--id can be there once here")
    params = {**chosen, "ids": None, "id": ids[0] if ids else None}
    found = gateway.client().get("/api/v1/deliveries", {"destination": name, "state": "dead", "limit": limit, **params})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found["deliveries"]:
        click.echo(f"Nothing is dead on its way to {clean(name)}.", err=True)
        return
    click.echo(table(_DEAD_HEADINGS, [_dead_row(one) for one in found["deliveries"]]))
    more = " There are more: --limit, --kind." if found["next_cursor"] else ""
    click.echo(f"`faregate destinations retry {clean(name)}` sends them again, `discard` gives them up.{more}", err=True)


@destinations.command()
@click.argument("name")
@_choosing
@json_option
@reaching
def retry(*, name: str, chosen: Mapping[str, Any], as_json: bool, gateway: Gateway) -> None:
    """Send again to NAME what is dead: all of it, or what the options choose. A paused destination is tried now."""
    found = _all_of(gateway.client(), "/api/v1/deliveries/retry", {"destination": name, **chosen}, "retried")
    click.echo(json.dumps(found) if as_json else _done(found["retried"], name, "sent again"))


@destinations.command()
@click.argument("name")
@_choosing
@click.option("--all", "everything", is_flag=True, help="Give up all.")
@click.option("--pending", is_flag=True, help="Give up what still waits, instead of what is dead.")
@json_option
@reaching
def discard(  # noqa: PLR0913 - its options
    *, name: str, chosen: Mapping[str, Any], everything: bool, pending: bool, as_json: bool, gateway: Gateway
) -> None:
    """Give up what is dead on its way to NAME, for good. It stays counted."""
    if not chosen and not everything:
        raise WrongUsage("Say which: --id, --kind, --where, --from, --to, or --all")
    body = {"destination": name, "state": "pending" if pending else "dead", **chosen}
    found = _all_of(gateway.client(), "/api/v1/deliveries/discard", body, "discarded")
    click.echo(json.dumps(found) if as_json else _done(found["discarded"], name, "given up"))


@destinations.command()
@click.argument("name")
@json_option
@reaching
def resume(*, name: str, as_json: bool, gateway: Gateway) -> None:
    """Try NAME again now, whatever it is paused for."""
    found = gateway.client().send("POST", f"{_PATH}/{in_path(name)}/resume", {})
    click.echo(json.dumps(found, indent=2) if as_json else f"{clean(name)} is tried again.")


@destinations.command()
@click.argument("name")
@click.option("--where", metavar="CEL", help="Only calls that meet this condition.")
@click.option("--from", "from_", metavar="TIME", help="Only calls from this time on, or so long ago: 7d. (All that are kept.)")
@click.option("--to", metavar="TIME", help="Only calls before this time. (Now.)")
@click.option("--rate", type=click.FloatRange(0, 5000, min_open=True), help="How many calls a second. (50)")
@click.option("--all", "everything", is_flag=True, help="Send also what the destination has already.")
@click.option("--dry-run", is_flag=True, help="Only say how many that would be, and how long it would take.")
@click.option("--wait", is_flag=True, help="Show how far it is until it is done. Ctrl-C leaves it running.")
@json_option
@reaching
def replay(*, name: str, everything: bool, wait: bool, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Send recorded calls to NAME: those that it does not have yet, behind what happens now."""
    body: dict[str, Any] = {"from" if field == "from_" else field: value for field, value in asked.items() if value}
    client = gateway.client()
    begun = client.send("POST", f"{_PATH}/{in_path(name)}/replay", body | ({"only": "all"} if everything else {}))
    if wait and not asked["dry_run"]:
        begun = _followed(client, begun, quiet=as_json)
    if as_json:
        click.echo(json.dumps(begun, indent=2))
    elif asked["dry_run"]:
        click.echo(_estimate_text(begun))
    else:
        click.echo(_replay_text(begun))


@destinations.command()
@json_option
@reaching
def replays(*, as_json: bool, gateway: Gateway) -> None:
    """List replays and how far they are."""
    found = gateway.client().get("/api/v1/replays")["replays"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo(table(_REPLAY_HEADINGS, [_replay_row(one) for one in found]))
    else:
        click.echo("There was no replay. `faregate destinations replay NAME` begins one.", err=True)


@destinations.command()
@click.argument("replay_id", metavar="ID")
@json_option
@reaching
def stop(*, replay_id: str, as_json: bool, gateway: Gateway) -> None:
    """Stop a replay where it is. What it owed is still sent."""
    stopped = gateway.client().send("DELETE", f"/api/v1/replays/{in_path(replay_id)}")
    click.echo(json.dumps(stopped, indent=2) if as_json else _replay_text(stopped))


def _done(count: int, name: str, what: str) -> str:
    if count == 1:
        return f"One delivery to {clean(name)} is {what}."
    return f"{count or 'No'} deliveries to {clean(name)} are {what}."


def _all_of(client: AdminClient, path: str, body: Mapping[str, Any], counted: str) -> dict[str, int]:
    """Ask until all of it is done: one request goes on for so long and no longer."""
    total, cursor = 0, None
    while True:
        done = client.send("POST", path, {**body, "cursor": cursor} if cursor else body)
        total, cursor = total + done[counted], done["next_cursor"]
        if cursor is None:
            return {counted: total}


def _followed(client: AdminClient, replay: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Show how far a replay is until it ends."""
    while replay["state"] == "running":
        if not quiet:
            click.echo(_how_far(replay), err=True)
        time.sleep(FOLLOW_SECONDS)
        replay = client.get(f"/api/v1/replays/{in_path(replay['id'])}")
    return replay


def _row(one: Mapping[str, Any]) -> list[Any]:
    counts = one["counts"]
    numbers = [counts[name] for name in ("accepted", "delivered", "pending", "dead")]
    last = local_time(one["last_ok_at"]) if one["last_ok_at"] else None
    return [one["name"], one["type"], one["state"], *numbers, age_text(one["oldest_age_seconds"]), last, one["place"]]


def _facts(one: Mapping[str, Any]) -> dict[str, Any]:
    counts, limits = one["counts"], one["limits"] or {}
    error = f"{one['last_error']} ({local_time(one['last_error_at'])})" if one["last_error"] and one["last_error_at"] else None
    return {
        "name": one["name"],
        "type": one["type"],
        "address": one["address"],
        "defined in": one["place"],
        "state": one["state"],
        "why": one["why"],
        "paused until": local_time(one["paused_until"]) if one["paused_until"] else None,
        "deliveries": ", ".join(f"{counts[name]} {name}" for name in ("accepted", "delivered", "pending", "dead", "refused")),
        "oldest": age_text(one["oldest_age_seconds"]),
        "last ok": local_time(one["last_ok_at"]) if one["last_ok_at"] else None,
        "last error": error or one["last_error"],
        "content": one["content"],
        "redact": None if one["redact"] is None else ", ".join(one["redact"]) or "nothing",
        "limits": ", ".join(f"{name} {_number(value)}" for name, value in limits.items() if value is not None),
    }


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _dead_row(one: Mapping[str, Any]) -> list[Any]:
    last = one["last_attempts"][-1] if one["last_attempts"] else None
    error = one["error"] or ""
    short = error if len(error) <= LONGEST_ERROR else f"{error[: LONGEST_ERROR - 1]}…"
    died = local_time(last["at"]) if last else None
    return [died, one["kind"], one["status"], one["attempts"], short, one["id"]]


def _replay_row(one: Mapping[str, Any]) -> list[Any]:
    head = [local_time(one["made_at"]), one["destination"], one["state"], one["looked_at"], one["owed"]]
    return [*head, f"{one['rate']:g}", one["where"], one["id"]]


def _replay_text(one: Mapping[str, Any]) -> str:
    hint = f"`faregate destinations replays` shows how far it is, `stop {clean(one['id'])}` ends it."
    return f"{_how_far(one)}\n{hint}" if one["state"] == "running" else _how_far(one)


def _how_far(one: Mapping[str, Any]) -> str:
    why = one["error"] or one["waits"]
    more = f"; {clean(why)}" if why else ""
    if one["state"] == "running" and not one["looked_at"]:
        return f"A replay to {clean(one['destination'])} begins{more}."
    place = f" up to {local_time(one['place'])}" if one["place"] else ""
    return f"{one['state']}: {one['owed']} of {one['looked_at']} calls are owed to {clean(one['destination'])}{place}{more}."


def _estimate_text(found: Mapping[str, Any]) -> str:
    took = age_text(found["seconds"]) if (found["seconds"] or 0) >= 1 else "less than a second"
    whole = "" if found["whole"] else f" This is as far as {local_time(found['place'])}; there are more."
    rate = f"{found['rate']:g}"
    return (
        f"{found['calls']} of {found['looked_at']} calls would be sent to {clean(found['destination'])}: "
        f"bodies of {size_text(found['bytes'])}, {took} at {rate} a second.{whole}"
    )


def age_text(seconds: float | None) -> str | None:
    """Return a number of seconds as people read it: `12s`, `3m`, `5h`, `2d`."""
    if seconds is None:
        return None
    return next((f"{int(seconds // unit)}{name}" for unit, name in _STEPS if seconds >= unit), f"{int(seconds)}s")
