"""Rules in a file: everything that is wrong with its `[[rules]]` and `[[routes]]`, each with its line, without starting anything."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from config.document import read_document
from config.errors import SettingsError, lines_of
from config.routes import RouteSettings, wrong_routes
from config.rules import rules_of_documents
from config.upstreams import KNOWN
from destinations import config_class
from domain.routes import RouteRule
from routing.rules import RuleProblem, RuleValue, Takes, WrongRules, rule_problems

_ROUTES: TypeAdapter[list[RouteSettings]] = TypeAdapter(list[RouteSettings])


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Something that is wrong: where (`faregate.toml:12`, or the file alone), in which rule, if it is about one, and a sentence."""

    place: str
    rule: str | None
    setting: str
    message: str

    def __str__(self) -> str:
        """Return it in a line."""
        named = "" if self.rule is None else f"{self.rule}, " if self.setting else f"{self.rule}"
        said = f"{named}{self.setting}: " if named or self.setting else ""
        return f"{self.place}: {said}{self.message}"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file says of rules: their documents as they stand in it (None: it says nothing of them), and of those that can be read, what they mean."""

    path: Path
    rules: Any
    routes: Any
    takes: Mapping[str, Takes] | None
    values: Sequence[RuleValue]
    problems: Sequence[FileProblem]


def read_rule_file(path: Path, takes: Mapping[str, Takes], kinds: Collection[str] | None = None) -> RuleFile:
    """Return what a settings file, or one with `[[rules]]` alone, says of rules.

    Args:
        path: the file.
        takes: the destinations that there are, where the file names none itself.
        kinds: the kinds that settings define beside those that the file does; None where nobody knows them here, so that none is refused.

    Raises:
        SettingsError: it cannot be read, or is not TOML.

    """
    document, lines = read_document(path)
    rules, routes = document.get("rules"), document.get("routes")
    there = [] if rules is None else rules, [] if routes is None else routes
    own = _takes(document.get("destinations"))
    values: Sequence[RuleValue] = ()
    problems: list[FileProblem] = []
    try:
        values = rules_of_documents(there[0], None if kinds is None else {*kinds, *_own_kinds(document)})
        found = list(rule_problems(values, takes if own is None else own))
    except WrongRules as error:
        found = list(error.problems)
    problems += [_in_file(path, lines, problem) for problem in found]
    problems += [FileProblem(str(path), None, "", text) for text in _wrong_routes(path, lines, document, there[1])]
    return RuleFile(path, rules, routes, own, values, problems)


def routes_of_documents(documents: Any) -> list[RouteRule]:
    """Return routes from documents such as the admin API gets, each with the settings of `[[routes]]`.

    Raises:
        ValueError: a document is none; the message says what is wrong.

    """
    try:
        return [route.value(number) for number, route in enumerate(_ROUTES.validate_python(documents), 1)]
    except ValidationError as error:
        raise ValueError("\n".join(f"routes.{line}" for line in lines_of(error, {}))) from None


def _in_file(path: Path, lines: Mapping[str, int], problem: RuleProblem) -> FileProblem:
    place = f"rules.{problem.number}.{problem.setting}"
    while place and place not in lines:
        place = place.rpartition(".")[0]
    where = f"{path}:{lines[place]}" if place else str(path)
    number = f"rule {problem.number + 1}"
    named = number if problem.rule == number else f"{number} ({problem.rule})"
    return FileProblem(where, named, problem.setting, problem.message)


def _takes(tables: Any) -> dict[str, Takes] | None:
    """Return what the destinations of a file take; None where it has none. A kind that there is not is for `config check` to say."""
    if not isinstance(tables, Mapping) or not tables:
        return None
    return {str(name): _takes_of(table.get("type") if isinstance(table, Mapping) else None) for name, table in tables.items()}


def _takes_of(kind: Any) -> Takes:
    try:
        return getattr(config_class(str(kind)), "TAKES", "spans")
    except (ValueError, ImportError):
        return "both"


def _own_kinds(document: Mapping[str, Any]) -> Collection[str]:
    """Return the kinds that a file defines in `[redaction]`."""
    table = document.get("redaction")
    own = table.get("own") if isinstance(table, Mapping) else None
    return own.keys() if isinstance(own, Mapping) else ()


def _wrong_routes(path: Path, lines: Mapping[str, int], document: Mapping[str, Any], routes: Any) -> Iterator[str]:
    places = {name: f"{path.name}:{line}" for name, line in lines.items()}
    try:
        found = _ROUTES.validate_python(routes)
    except ValidationError as error:
        yield from (f"routes.{line}" if not line.startswith(path.name) else line for line in lines_of(error, places))
        return
    upstreams = document.get("upstreams")
    known = {*KNOWN, "sim", *(upstreams if isinstance(upstreams, Mapping) else ())}
    yield from wrong_routes(found, known)


def destinations_in(path: Path | None) -> dict[str, Takes]:
    """Return the destinations that the settings file at `path` names, and what each takes; none where there is no file, or it cannot be read."""
    return _takes(_document(path).get("destinations")) or {}


def kinds_in(path: Path | None) -> Collection[str]:
    """Return the kinds that the settings file at `path` defines; none where there is no file, or it cannot be read."""
    return _own_kinds(_document(path))


def _document(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return read_document(path)[0]
    except SettingsError:
        return {}
