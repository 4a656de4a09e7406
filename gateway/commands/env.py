"""`faregate env`: the lines that send everything a shell starts through the gate."""

import json
import os
import shlex
from collections.abc import Callable, Mapping

import click

from gateway.asking.finding import Gateway
from gateway.asking.pointing import base_urls, keys_for
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching


def _powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


_LINES: Mapping[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {_fish(value)};",
    "powershell": lambda name, value: f"$env:{name} = {_powershell(value)}",
}


@click.command()
@click.option("--shell", type=click.Choice([*_LINES]), default="sh", show_default=True, help="Whose language to write.")
@json_option
@reaching
def env(*, shell: str, as_json: bool, gateway: Gateway) -> None:
    """Print the lines to put into a shell: eval "$(faregate env)". A provider's key that the shell has stays what it is."""
    values = base_urls(gateway.url, {}) | keys_for(os.environ, gateway.key)
    if as_json:
        click.echo(json.dumps(values, indent=2))
    for name, value in () if as_json else values.items():
        click.echo(_LINES[shell](name, value))
