"""The table of kinds in the page of redaction, from the recognisers."""

from pathlib import Path

from recorder.profiles import PROFILES
from recorder.recognising.kinds import KINDS

BEGIN, END = "<!-- kinds: written by `make docs` -->\n", "<!-- end of kinds -->\n"


def redaction_page(page: Path) -> str:
    """Return the page with its table of kinds as it should be; the rest is written by hand."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + _table() + END + after


def _table() -> str:
    rows = (f"| `{kind.name}` | {kind.confidence:.2f} | {kind.is_known_by} | {_profiles(kind.name)} |\n" for kind in KINDS)
    return "| kind | confidence | is known by | profiles |\n| --- | --- | --- | --- |\n" + "".join(rows)


def _profiles(kind: str) -> str:
    names = [name for name, kinds in PROFILES.items() if kind in kinds]
    return ", ".join(f"`{name}`" for name in names)
