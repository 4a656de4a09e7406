"""Options that several commands have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from gateway.commands.failure import WrongUsage

config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="The settings file; else ./faregate.toml, or the user's."
)
data_option = click.option(
    "--data", envvar="FAREGATE_DATA", type=click.Path(file_okay=False, path_type=Path), help="The data folder (./faregate-data)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a command that serves: the settings file, and the settings that flags stand for."""

    config: Path | None
    flags: Mapping[str, Any]


def serving(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of commands that serve; the command gets them as one `asked`."""

    @wraps(function)
    def with_asked(
        *, config: Path | None, data: Path | None, host: str | None, port: int | None, workers: int | None, **others: Any
    ) -> None:
        values = {"storage.data": data, "server.host": host, "server.port": port, "server.workers": workers}
        function(asked=Asked(config, {name: value for name, value in values.items() if value is not None}), **others)

    command: Callable[..., None] = with_asked
    for option in (
        click.option("--workers", type=click.IntRange(1, 64), help="How many gate processes share the port (1)."),
        click.option("--port", type=click.IntRange(0, 65_535), help="The port to listen on (8080); 0 picks a free one."),
        click.option("--host", help="The address to listen on (127.0.0.1)."),
        data_option,
        config_option,
    ):
        command = option(command)
    return command


def pairs(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Return `NAME=VALUE` texts as a table.

    Raises:
        WrongUsage: one has no name or no `=`.
    """
    del ctx
    found = {}
    for text in value:
        name, separator, rest = text.partition("=")
        if not separator or not name.strip():
            raise WrongUsage(f"{parameter.opts[0]} {text}: write NAME=VALUE, such as team=search")
        found[name.strip()] = rest.strip()
    return found
