"""`faregate keys`: make, list, show, rotate and revoke the keys that apps call with."""

import json
import re
from collections.abc import Mapping
from typing import Any

import click

from gateway.asking.client import in_path
from gateway.asking.finding import Gateway
from gateway.commands.failure import WrongUsage
from gateway.commands.options import json_option, pairs
from gateway.commands.reaching import reaching
from gateway.commands.tables import NOTHING, clean, local_time, table

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_HEADINGS = ("name", "kind", "project", "hint", "models", "tags", "limits", "created", "expires", "old secret until", "state")


@click.group()
def keys() -> None:
    """Make, list, show, rotate and revoke keys. A secret is shown once, when it is made."""


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return a duration such as `24h` in seconds."""
    del ctx
    match = re.fullmatch(r"(\d{1,9})([smhdw]?)", value.strip())
    if match is None:
        raise WrongUsage(f"{parameter.opts[0]} {value}: write a duration such as 90s, 24h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


@keys.command()
@click.argument("name")
@click.option("--project", metavar="P", help="The project that it belongs to.")
@click.option(
    "--models",
    metavar="GLOB",
    multiple=True,
    help="A model that it may use, as a pattern such as 'gpt-4o*' or 'groq/*'; may be there several times.",
)
@click.option("--expires", metavar="30d", help="How long it is good, or until when.")
@click.option(
    "--tag", "tags", metavar="K=V", multiple=True, callback=pairs, help="A label of its calls; may be there several times."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the secret alone.")
@click.option("--budget", metavar="20/month", help="What it may spend: US dollars, or such as '500k tokens/day', in a window.")
@click.option("--rpm", metavar="N", type=click.IntRange(min=1), help="The most calls in any minute.")
@click.option("--tpm", metavar="N", type=click.IntRange(min=1), help="The most tokens in any minute.")
@click.option("--parallel", metavar="N", type=click.IntRange(min=1), help="The most calls that run at once.")
@json_option
@reaching
def create(*, name: str, quiet: bool, as_json: bool, gateway: Gateway, **asked: Any) -> None:
    """Make a key. Its secret is printed now, and never again."""
    body: dict[str, Any] = {"name": name, "models": list(asked["models"]), "tags": asked["tags"]}
    body |= {field: asked[field] for field in ("project", "expires", "budget", "rpm", "tpm", "parallel") if asked[field]}
    made = gateway.client().send("POST", "/api/v1/keys", body)
    _print_secret(made, quiet=quiet, as_json=as_json)


@keys.command(name="list")
@json_option
@reaching
def list_(*, as_json: bool, gateway: Gateway) -> None:
    """List all keys."""
    found = gateway.client().get("/api/v1/keys")["keys"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(table(_HEADINGS, [_row(key) for key in found]))


@keys.command()
@click.argument("name")
@json_option
@reaching
def show(*, name: str, as_json: bool, gateway: Gateway) -> None:
    """Show one key; its secret is not kept, so it cannot be shown."""
    key = gateway.client().get(f"/api/v1/keys/{in_path(name)}")
    if as_json:
        click.echo(json.dumps(key, indent=2))
        return
    for heading, value in zip(_HEADINGS, _row(key), strict=True):
        click.echo(f"{heading:16} {clean(value or NOTHING)}")


@keys.command()
@click.argument("name")
@click.option("--grace", default="24h", show_default=True, callback=_seconds, help="How long the old secret still works.")
@click.option("-q", "--quiet", is_flag=True, help="Print the new secret alone.")
@json_option
@reaching
def rotate(*, name: str, grace: int, quiet: bool, as_json: bool, gateway: Gateway) -> None:
    """Give a key a new secret."""
    body = {"grace_seconds": grace}
    made = gateway.client().send("POST", f"/api/v1/keys/{in_path(name)}/rotate", body)
    _print_secret(made, quiet=quiet, as_json=as_json)


@keys.command()
@click.argument("name")
@json_option
@reaching
def revoke(*, name: str, as_json: bool, gateway: Gateway) -> None:
    """End a key for good. Its calls stay recorded."""
    key = gateway.client().send("DELETE", f"/api/v1/keys/{in_path(name)}")
    click.echo(json.dumps(key) if as_json else f"The key {clean(key['name'])} is revoked.")


def _print_secret(made: Mapping[str, Any], *, quiet: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(made, indent=2))
    elif quiet:
        click.echo(made["secret"])
    else:
        click.echo(f"The key {clean(made['name'])} is made. Its secret is shown this once:", err=True)
        click.echo(made["secret"])


def _row(key: Mapping[str, Any]) -> list[str | None]:
    tags = ", ".join(f"{name}={value}" for name, value in key["tags"].items())
    times = [key[name] and local_time(key[name]) for name in ("created_at", "expires_at", "previous_secret_until")]
    state = "revoked" if key["revoked_at"] else "good"
    limits = ", ".join(f"{name} {key[name]}" for name in ("rpm", "tpm", "parallel") if key[name] is not None)
    models = ", ".join(key["models"]) or "all"
    return [key["name"], key["kind"], key["project"], key["hint"], models, tags, limits, *times, state]
