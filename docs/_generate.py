"""Write the pages that follow from the code: settings, errors, metrics and others. With `--check`, only say whether they are current."""

import sys
from pathlib import Path

from docs._errors import errors_page
from docs._metrics import metrics_page
from docs._redaction import redaction_page
from docs._rules import rules_page
from docs._settings import settings_page

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make docs`. Change the code it is made from, not this page. -->\n\n"


def pages(folder: Path = HERE) -> dict[Path, str]:
    """Return each generated page and what it should say."""
    return {
        folder / "configuration.md": NOTE + settings_page(),
        folder / "errors.md": NOTE + errors_page(),
        folder / "metrics.md": NOTE + metrics_page(),
        folder / "redaction.md": redaction_page(HERE / "redaction.md"),
        folder / "rules.md": NOTE + rules_page(),
    }


def stale(folder: Path = HERE) -> dict[Path, str]:
    """Return the pages that do not say what they should, and what they should say."""
    return {path: text for path, text in pages(folder).items() if not path.exists() or path.read_text("utf-8") != text}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    found = stale()
    if "--check" in arguments:
        for path in found:
            print(f"{path.relative_to(HERE.parent)} is not current: run `make docs`")
        return 1 if found else 0
    for path, text in found.items():
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
