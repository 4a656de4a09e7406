"""Gather the fragments of `changelog.d/` into `CHANGELOG.md` under a version: `python -m docs._changelog 0.2.0`."""

import re
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = ("added", "changed", "fixed", "removed", "security")
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_FIRST_VERSION = re.compile(r"^## ", re.MULTILINE)


def fragments(folder: Path) -> dict[str, list[Path]]:
    """Return the fragments by kind, each kind in the order of their names.

    Raises:
        ValueError: a file in the folder is of no kind.
    """
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        kind = path.name.split(".")[-2]
        if kind not in found:
            raise ValueError(f"{path.name}: there is no kind {kind!r}; there are {', '.join(KINDS)}")
        found[kind].append(path)
    return found


def section(version: str, day: date, found: Mapping[str, list[Path]]) -> str:
    """Return the part of the page that says what is in `version`."""
    parts = [f"## {version} ({day.isoformat()})\n"]
    for kind in KINDS:
        if found[kind]:
            lines = "\n".join(_item(path.read_text("utf-8")) for path in found[kind])
            parts.append(f"### {kind.capitalize()}\n\n{lines}\n")
    return "\n".join(parts)


def with_section(page: str, new: str) -> str:
    """Return `page` with a new section in front of the older ones."""
    older = _FIRST_VERSION.search(page)
    if older is None:
        return f"{page.rstrip()}\n\n{new}"
    return f"{page[: older.start()].rstrip()}\n\n{new}\n{page[older.start() :]}"


def gather(root: Path, version: str, day: date) -> int:
    """Write the new section and delete its fragments; return how many those were.

    Raises:
        ValueError: the version is none, is on the page already, or there is nothing to say about it.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version} is not a version; write one such as 0.2.0")
    page = root / "CHANGELOG.md"
    text = page.read_text("utf-8")
    if f"\n## {version} " in text:
        raise ValueError(f"{version} is in {page.name} already")
    found = fragments(root / "changelog.d")
    paths = [path for kind in KINDS for path in found[kind]]
    if not paths:
        raise ValueError("there is no fragment in changelog.d")
    page.write_text(with_section(text, section(version, day, found)), "utf-8")
    for path in paths:
        path.unlink()
    return len(paths)


def _item(text: str) -> str:
    """Return a fragment as an item of a list."""
    return "- " + "\n  ".join(text.strip().splitlines())


def main(arguments: list[str]) -> int:
    """Gather the fragments; return the exit code."""
    if len(arguments) != 1:
        print("Write: python -m docs._changelog VERSION")
        return 2
    try:
        count = gather(ROOT, arguments[0], date.today())  # noqa: DTZ011 - the day where the release is made
    except ValueError as error:
        print(error)
        return 1
    print(f"CHANGELOG.md has {count} changes under {arguments[0]}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
