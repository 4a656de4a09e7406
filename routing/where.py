"""Conditions on finished calls: one expression language for rules, searches, alerts and exports.

An expression is checked when it is written, and bounded, so that evaluating it on a span costs microseconds whatever it says (`routing.expressions`).
"""

from collections.abc import Mapping
from typing import Any

from domain.spans import Span
from routing.checks import Sampled
from routing.expressions import Expression, Reader, compile_expression
from routing.variables import VARIABLES

__all__ = ["Sampled", "Where", "compile_where", "compiled"]


class Where:
    """A condition that was checked. Threads may share it."""

    def __init__(self, expression: Expression) -> None:
        """Use `compile_where`."""
        self.text = expression.text
        self.names = expression.names
        self._expression = expression
        self._reader: Reader[Span] = Reader(VARIABLES, [expression])

    def matches(self, span: Span) -> bool:
        """Return whether `span` meets the condition; one that cannot be evaluated, because something is unknown, is not met."""
        return self.explain(span)[0]

    def explain(self, span: Span) -> tuple[bool, str]:
        """Return whether `span` meets the condition, and why not where it could not be evaluated."""
        return self._expression.explain(self._reader.facts(span))


def compile_where(text: str) -> Where:
    """Return `text` as a condition on spans.

    Raises:
        ValueError: it is not one. The message says where, and what would be right.

    """
    return Where(compile_expression(text, VARIABLES))


def compiled(text: str, variables: Mapping[str, Sampled]) -> tuple[Any, tuple[str, ...]]:
    """Return `text` as a program of `cel`, and the variables that it names.

    Raises:
        ValueError: it is no condition on these variables. The message says where, and what would be right.

    """
    found = compile_expression(text, variables)
    return found.program, found.names
