"""What was measured, beside what is wanted, as a table and as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Sense = Literal["at most", "at least"]
_SIGNS = {"at most": "≤", "at least": "≥"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. Without a goal it is for information; without a value it could not be measured, and `note` says why."""

    name: str
    value: float | None
    unit: str = ""
    goal: float | None = None
    sense: Sense = "at most"
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is nothing to say."""
        if self.goal is None or self.value is None:
            return None
        return self.value <= self.goal if self.sense == "at most" else self.value >= self.goal

    def row(self) -> tuple[str, str, str, str, str]:
        """Return the cells of the table."""
        mark = {True: "✓", False: "✗", None: ""}[self.reached]
        goal = "" if self.goal is None else f"{_SIGNS[self.sense]} {_number(self.goal, self.unit)}"
        return self.name, "none" if self.value is None else _number(self.value, self.unit), goal, mark, self.note

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {**asdict(self), "reached": self.reached}


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text}{unit}" if unit == "x" else f"{text} {unit}".strip()


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table, with columns wide enough to read as they are."""
    rows: list[Sequence[str]] = [("figure", "measured", "goal", "", "detail"), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
