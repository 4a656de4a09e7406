"""Find the snippets of a page: fenced blocks, each with its language and the heading above it."""

from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block; `line` is where its first line stands in the page."""

    heading: str
    language: str
    line: int
    text: str

    @property
    def name(self) -> str:
        return f"{self.heading}, line {self.line}"


def snippets_of(page: str) -> list[Snippet]:
    """Return every fenced block of a page, in order."""
    found: list[Snippet] = []
    heading, language, begun, lines = "", None, 0, []
    for number, line in enumerate((PAGES / page).read_text("utf-8").splitlines(), start=1):
        if language is None and line.startswith("#"):
            heading = line.lstrip("# ")
        elif language is None and line.startswith("```"):
            language, begun, lines = line.removeprefix("```").strip(), number + 1, []
        elif language is not None and line == "```":
            found.append(Snippet(heading, language, begun, "\n".join(lines) + "\n"))
            language = None
        else:
            lines.append(line)
    assert language is None, f"{page}: a block is not closed"
    return found
