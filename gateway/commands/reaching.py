"""The options of commands that talk to a running gateway."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from gateway.asking.finding import found_gateway
from gateway.commands.options import data_option


def reaching(function: Callable[..., None]) -> Callable[..., None]:
    """Add --url and --data; the command gets the gateway that they lead to as `gateway`."""

    @wraps(function)
    def with_gateway(*, url: str | None, data: Path | None, **others: Any) -> None:
        function(gateway=found_gateway(url, data), **others)

    with_url = click.option("--url", envvar="FAREGATE_URL", help="A gateway elsewhere; FAREGATE_ADMIN_TOKEN lets in.")
    command: Callable[..., None] = with_url(data_option(with_gateway))
    return command
