"""Read settings: flags win over environment variables, those over the file, the file over what is found, that over defaults.

The result is whole or not at all: everything that is wrong is said at once.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.document import read_document
from config.errors import SettingsError, lines_of, where
from config.settings import LOCAL_KEY, Settings
from config.upstreams import RESERVED, found_in, taken

FILE_NAME = "faregate.toml"
_HANDED_ON = Path("/dev/fd")
PREFIX = "FAREGATE_"
FOUND = "found in the environment"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ITEM = re.compile(r"(\.\d+)+$")
# Those of destinations are known once it is known of what kind each is.
_SECRETS = re.compile(r"upstreams\.[^.]+\.(api_key|api_keys(\.\d+)?)|keys\..+\.secret|redaction\.key")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each that is not a default came from (`server.port`: `faregate.toml:3`), the file, and what is worth a warning.

    `places` says where the file has each table and setting, those of lists by their number (`budgets.0`).
    """

    settings: Settings
    origins: Mapping[str, str]
    path: Path | None
    warnings: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)


def load_settings(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Return the settings in force.

    Args:
        file: the file that somebody named; None looks for one (see `settings_file`).
        environ: the environment.
        flags: values by the path of their setting: `{"server.port": 8081}`. None stands for a flag that was not given.

    Raises:
        SettingsError: something is wrong; its lines say what, all of it.

    """
    path = file if file is not None else settings_file(environ)
    layers = _Layers()
    listed = layers.add_file(path, environ) if path is not None else False
    layers.add_environment(environ)
    for name, value in flags.items():
        if value is not None:
            layers.put(name.split("."), value, f"--{name.rpartition('.')[2].replace('_', '-')}")
    if not listed:
        layers.add_found(environ)
    return layers.loaded(path)


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file to read if none was named on the command line: that of FAREGATE_CONFIG, of this folder, or of this user."""
    named = environ.get("FAREGATE_CONFIG")
    if named:
        return Path(named)
    home = Path(environ["HOME"]) / ".config" if environ.get("HOME") else None
    folder = Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else home
    usual = [Path(FILE_NAME), *([folder / "faregate" / FILE_NAME] if folder else [])]
    return next((path for path in usual if path.is_file()), None)


class _Layers:
    """Settings as they are put over each other, and where each came from."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._problems: list[str] = []
        self._warnings: list[str] = []
        # Settings whose text refers to a variable that is not set, and those that are written out in the file.
        self._unset: set[str] = set()
        self._written: set[str] = set()

    def add_file(self, path: Path, environ: Mapping[str, str]) -> bool:
        """Add what a file says; return whether it says what upstreams there are."""
        document, lines = read_document(path)
        # What `faregate up` hands on to its children has no name of its own.
        shown = FILE_NAME if path.parent == _HANDED_ON else path.name
        self._places = {name: f"{shown}:{line}" for name, line in lines.items()}
        if LOCAL_KEY in _table(document, "keys"):
            self._problems.append(
                f"{where(self._places, 'keys.local')}keys.{LOCAL_KEY}: `faregate up` makes the key of this name; use another"
            )
        for name in sorted(RESERVED & _table(document, "upstreams").keys()):
            # Said before anything in it is looked at: what is missing or wrong there does not matter.
            self._problems.append(f"{where(self._places, f'upstreams.{name}')}upstreams.{name}: {taken(name)}")
            _take_out(document, ["upstreams", name])
        for names, value in _leaves(document):
            name = ".".join(names)
            self.put(list(names), self._resolved(name, value, environ), where(self._places, name).rstrip(": ") or path.name)
        return "upstreams" in document

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """Add what variables such as FAREGATE_SERVER__PORT say."""
        for variable in sorted(environ):
            if variable.startswith(PREFIX) and "__" in variable.removeprefix(PREFIX):
                self._add_variable(variable, environ[variable])
        self._warnings += _misspelt(environ)

    def add_found(self, environ: Mapping[str, str]) -> None:
        """Add the providers whose keys are in the environment; what was said of them stays."""
        for name, (variable, key) in found_in(environ).items():
            told = _table(_table(self._values, "upstreams"), name)
            if "api_key" not in told and "api_keys" not in told:
                self.put(["upstreams", name, "api_key"], key, variable)

    def put(self, names: list[str], value: Any, origin: str) -> None:
        """Put one value over what is there."""
        table = self._values
        for name in names[:-1]:
            inner = table.setdefault(name, {})
            if not isinstance(inner, dict):
                inner = table[name] = {}
            table = inner
        path = ".".join(names)
        table[names[-1]] = value
        for old in [known for known in self._origins if known.startswith(f"{path}.")]:
            del self._origins[old]
        self._origins[path] = origin

    def loaded(self, path: Path | None) -> Loaded:
        """Return the settings.

        Raises:
            SettingsError: they cannot be used.

        """
        places = self._places | {name: origin for name, origin in self._origins.items() if ":" not in origin}
        try:
            settings = Settings.model_validate(self._values)
        except ValidationError as error:
            raise SettingsError(dict.fromkeys([*self._problems, *lines_of(error, places, apart=self._unset)])) from None
        if self._problems:
            raise SettingsError(self._problems)
        for name, destination in settings.destinations.items():
            self._warn_of(f"destinations.{name}.{setting}" for setting in destination.secret_settings())
        return Loaded(settings, self._origins, path, tuple(self._warnings), self._places)

    def _add_variable(self, variable: str, text: str) -> None:
        names = variable.removeprefix(PREFIX).split("__")
        if not all(names):
            self._problems.append(f"{variable}: write {PREFIX}SECTION__SETTING, with two underscores between the parts")
            return
        path = self._as_named(names)
        try:
            self.put(path, _value(text), variable)
        except ValueError:
            self._problems.append(f"{variable}: this begins like JSON, but is none")

    def _as_named(self, names: list[str]) -> list[str]:
        """Return the path that a variable means: names in capitals stand for the file's own, whose `-` no variable can have."""
        path: list[str] = []
        table: Any = self._values
        for name in names:
            known = [key for key in table if key.upper().replace("-", "_") == name.upper()] if isinstance(table, dict) else []
            path.append(known[0] if known else name.lower())
            table = table.get(path[-1]) if isinstance(table, dict) else None
        return path

    def _resolved(self, name: str, value: Any, environ: Mapping[str, str]) -> Any:
        """Return `value` with its `${NAME}` replaced; note what is missing, and what is written out."""
        if isinstance(value, list):
            return [self._resolved(f"{name}.{index}", inner, environ) for index, inner in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._resolved(f"{name}.{key}", inner, environ) for key, inner in value.items()}
        if not isinstance(value, str):
            return value
        if value and not _REFERENCE.search(value):
            self._written.add(name)
            self._warn_of([name] if _SECRETS.fullmatch(name) else [])
        for variable in _REFERENCE.findall(value):
            if variable not in environ:
                self._unset.add(_ITEM.sub("", name))  # what is wrong with a list is said of all of it
                self._problems.append(f"{where(self._places, name)}{name}: the environment variable {variable} is not set")
        return _REFERENCE.sub(lambda match: environ.get(match[1], match[0]), value)

    def _warn_of(self, secrets: Iterable[str]) -> None:
        """Warn of those of these settings, which hold secrets, that are written out."""
        for name in secrets:
            if name in self._written:
                self._warnings.append(
                    f'{where(self._places, name)}{name}: a secret is written out; better keep it in the environment, as "${{NAME}}"'
                )


def _value(text: str) -> Any:
    """Return what a variable says: JSON for lists and tables, else the text, which the settings turn into what they need."""
    if text.lstrip().startswith(("[", "{")):
        return json.loads(text)
    return text


def _leaves(table: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value of a document with its path; an empty table is a value."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*before, name))
        else:
            yield (*before, name), value


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _take_out(document: dict[str, Any], path: list[str]) -> None:
    for name in path[:-1]:
        document = document[name]
    del document[path[-1]]


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that would be a setting with one more underscore."""
    for section, known in Settings.model_fields.items():
        inner = getattr(known.annotation, "model_fields", {})
        for name in inner:
            single = f"{PREFIX}{section}_{name}".upper()
            if single in environ:
                yield f"{single} is not a setting; did you mean {PREFIX}{section.upper()}__{name.upper()}?"
