"""Conditions on spans: one expression language for rules, searches, alerts and exports.

The language is CEL. An expression is checked when it is written (names, functions, types, patterns), and bounded, so that
evaluating it on a span costs microseconds whatever it says: patterns run on an engine of linear time, their repetitions are
bounded, and there is at most one loop over a list or the tags.
"""

import re
from difflib import get_close_matches
from typing import Any

from domain.spans import Span
from routing.variables import VARIABLES

LONGEST = 2_000
MOST_REPETITIONS = 50
MOST_REPEATS = 4
SHOWN = 30
# Names that look like variables to the parser but are types or a namespace of CEL's own.
_TYPES = {"string", "int", "uint", "double", "bool", "bytes", "list", "map", "null_type", "timestamp", "duration", "type"}
_FUNCTIONS = (
    {"size", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double", "bytes", "timestamp", "duration"}
    | {"type", "dyn"}
    | {f"get{part}" for part in ("FullYear", "Month", "DayOfYear", "DayOfMonth", "Date", "DayOfWeek", "Hours")}
    | {"getMinutes", "getSeconds", "getMilliseconds"}
)
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_STRING = re.compile(r"""[rRbB]{0,2}("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_PLACE = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_REPETITION = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_HINTS = (
    (re.compile(r"(?<![=!<>])=(?!=)"), "Write `==` to compare."),
    (re.compile(r"\band\b", re.IGNORECASE), "Write `&&` for and."),
    (re.compile(r"\bor\b", re.IGNORECASE), "Write `||` for or."),
    (re.compile(r"\bnot\b", re.IGNORECASE), "Write `!` for not."),
    (re.compile(r"[\"']"), "A text needs its closing quote."),
)


class Where:
    """A condition that was checked. Threads may share it."""

    def __init__(self, text: str, program: Any, names: tuple[str, ...]) -> None:
        """Use `compile_where`."""
        self.text = text
        self.names = names
        self._program = program
        self._reads = tuple((name, VARIABLES[name].read) for name in names)

    def matches(self, span: Span) -> bool:
        """Return whether `span` meets the condition; one that cannot be evaluated, because something is unknown, is not met."""
        return self.explain(span)[0]

    def explain(self, span: Span) -> tuple[bool, str]:
        """Return whether `span` meets the condition, and why not where it could not be evaluated."""
        values = {name: read(span) for name, read in self._reads}
        try:
            result = self._program.execute(values)
        except KeyError as error:
            return False, f"there is no tag {error}"
        except (TypeError, ValueError, ArithmeticError, RuntimeError):
            unknown = [name for name, value in values.items() if value is None]
            return False, f"{', '.join(unknown)} is not known" if unknown else "the expression cannot be evaluated on this call"
        return result is True, "matches" if result is True else "does not match"


def compile_where(text: str) -> Where:
    """Return `text` as a condition.

    Raises:
        ValueError: it is not one. The message says where, and what would be right.

    """
    # Here and not at the top: the package brings a command line of its own and costs 30 MB, which an office that nobody
    # searches and that has no rules need not hold.
    import cel  # noqa: PLC0415

    if len(text) > LONGEST:
        raise ValueError(f"The expression has {len(text)} characters; at most {LONGEST} are allowed.")
    if not text.strip():
        raise ValueError('The expression is empty. Write a condition such as `status >= 400 || model == "gpt-4o"`.')
    try:
        program = cel.compile(text)
    except (ValueError, RuntimeError) as error:
        raise ValueError(_syntax_message(text, str(error))) from None
    bare = _STRING.sub('""', text)
    loops = _LOOP.findall(bare)
    names = tuple(name for name in program.variables() if name not in loops and name not in _TYPES)
    functions = [name for name in program.functions() if name[0] not in "_!@-" and name != "?_"]
    _check_names(text, names, functions)
    _check_bounds(text, loops, functions)
    _check_types(program, names)
    return Where(text, program, names)


def _syntax_message(text: str, message: str) -> str:
    """Return what is wrong with `text`, and where, from the parser's message about it."""
    found = _PLACE.search(message)
    if found is None:
        return 'The expression cannot be read. Conditions look like `status >= 400 && tags.team == "search"`.'
    lines = text.splitlines() or [""]
    place = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2])
    rest = text[max(place - 2, 0) :]
    if place > len(text):
        return f"The expression ends too early, at character {len(text)}: something is missing there. {_hint(_STRING.sub('', text))}".strip()
    return f"The expression cannot be read at character {place}: `{_short(rest.strip())}`. {_hint(_STRING.sub('', text))}".strip()


def _hint(bare: str) -> str:
    return next((advice for pattern, advice in _HINTS if pattern.search(bare)), "")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _check_names(text: str, names: tuple[str, ...], functions: list[str]) -> None:
    for name, known, kind in [
        *((name, VARIABLES.keys(), "variable") for name in names),
        *((name, _FUNCTIONS, "function") for name in functions),
    ]:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        found = re.search(rf"\b{re.escape(name)}\b", text)
        place = f" at character {found.start() + 1}" if found else ""
        advice = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(sorted(known))}"
        raise ValueError(f"There is no {kind} `{name}`{place}; {advice}")


def _check_bounds(text: str, loops: list[str], functions: list[str]) -> None:
    """Refuse what could take long on a single span."""
    if len(loops) > 1:
        raise ValueError("An expression may have one `all`, `exists`, `exists_one`, `map` or `filter`, not more.")
    if "matches" not in functions:
        return
    if loops:
        raise ValueError("`matches` cannot stand beside a loop; use `contains`, `startsWith` or `endsWith` there.")
    counts = [int(count) for found in _REPETITION.finditer(text) for count in found.groups() if count]
    if any(count > MOST_REPETITIONS for count in counts) or len(counts) > MOST_REPEATS:
        raise ValueError(
            f"A pattern may repeat something at most {MOST_REPETITIONS} times (`{{n}}`), in at most {MOST_REPEATS} places."
        )


def _check_types(program: Any, names: tuple[str, ...]) -> None:
    """Evaluate once with a value of the right type for each variable, so that a condition that can never be evaluated is refused."""
    try:
        result = program.execute({name: VARIABLES[name].sample for name in names})
    except KeyError:
        return  # a tag; the sample has none
    except ArithmeticError:
        return  # a division by a value that happens to be nought here
    except TypeError:
        types = ", ".join(f"{name} is {VARIABLES[name].type}" for name in names)
        raise ValueError(
            f"The expression mixes types that cannot be compared or combined ({types or 'constants only'})."
        ) from None
    except (RuntimeError, ValueError) as error:
        if "'matches'" in str(error):
            raise ValueError("The pattern of `matches` is not a regular expression that can be used (RE2 syntax).") from None
        return  # a conversion such as int(model) depends on the value
    if not isinstance(result, bool):
        raise ValueError("The expression must be true or false; compare its value with something, as in `latency_ms > 500`.")  # noqa: TRY004
