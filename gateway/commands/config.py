"""`faregate config`: what is in force and where it came from, whether a file is right, and a schema for editors."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from config.errors import SettingsError
from config.loading import Loaded, load_settings
from config.settings import Settings
from gateway.commands.failure import Failed
from gateway.commands.options import config_option, data_option, json_option

_HIDDEN = "**********"


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@config_option
@data_option
@json_option
def show(*, origin: bool, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Show the settings in force; secrets are not shown."""
    loaded = _loaded(config, data)
    values = shown(loaded.settings)
    if as_json:
        click.echo(json.dumps(_with_origins(values, loaded) if origin else values, indent=2))
        return
    for path, value in _leaves(values):
        click.echo(f"{path} = {json.dumps(value, ensure_ascii=False)}" + (f"   # {origin_of(loaded, path)}" if origin else ""))


@config.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@config_option
@json_option
def check(*, file: Path | None, config: Path | None, as_json: bool) -> None:
    """Check FILE, or the file that would be read, without starting anything."""
    try:
        loaded = load_settings(file or config, os.environ, {})
    except SettingsError as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "problems": list(error.problems)}, indent=2))
        raise Failed("\n  ".join([f"{_counted(len(error.problems))} wrong:", *error.problems])) from None
    if as_json:
        click.echo(
            json.dumps({"valid": True, "file": loaded.path and str(loaded.path), "warnings": list(loaded.warnings)}, indent=2)
        )
        return
    for warning in loaded.warnings:
        click.echo(f"faregate: {warning}", err=True)
    click.echo(f"{loaded.path or 'Without a file, everything'} is right.")


@config.command()
def schema() -> None:
    """Print a JSON schema of the file, for editors."""
    click.echo(json.dumps(Settings.model_json_schema(), indent=2, default=str))


def shown(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON values, without secrets."""
    values: dict[str, Any] = settings.model_dump(mode="json", by_alias=True)
    url = settings.storage.database_url
    if url is not None:
        values["storage"]["database_url"] = without_password(url)
    values["destinations"] = {name: _without_queries(one) for name, one in values["destinations"].items()}
    return values


def without_password(url: str) -> str:
    """Return a URL with its password hidden."""
    parts = urlsplit(url)
    return url if parts.password is None else url.replace(f":{parts.password}@", f":{_HIDDEN}@", 1)


def _without_queries(value: Any) -> Any:
    """Return settings with what follows the `?` of a URL hidden: receivers take tokens there."""
    if isinstance(value, dict):
        return {name: _without_queries(one) for name, one in value.items()}
    if not isinstance(value, str) or "://" not in value:
        return value
    place, mark, query = value.partition("?")
    return f"{place}{mark}{_HIDDEN}" if query else value


def origin_of(loaded: Loaded, path: str) -> str:
    """Return where the value at `path` came from: its own place, that of the table it was set with, or `default`."""
    whole = path
    while path:
        if path in loaded.origins:
            return loaded.origins[path]
        path = path.rpartition(".")[0]
    return (
        "known of this provider"
        if whole.startswith("upstreams.") and whole.endswith(("base_url", "dialect", "auth"))
        else "default"
    )


def _loaded(config: Path | None, data: Path | None) -> Loaded:
    try:
        return load_settings(config, os.environ, {"storage.data": data})
    except SettingsError as error:
        raise Failed("\n  ".join([f"{_counted(len(error.problems))} wrong:", *error.problems])) from None


def _leaves(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _with_origins(values: Mapping[str, Any], loaded: Loaded) -> dict[str, Any]:
    return {path: {"value": value, "origin": origin_of(loaded, path)} for path, value in _leaves(values)}


def _counted(number: int) -> str:
    return "One setting is" if number == 1 else f"{number} settings are"
