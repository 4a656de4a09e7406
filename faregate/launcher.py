"""Start the command line from wherever our packages are.

Installed, they live in `faregate/_app`, so that a wheel adds one importable name and no more; in a checkout they stand beside
this folder.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run `faregate` with the arguments of the process."""
    installed = Path(__file__).resolve().parent / "_app"
    if installed.is_dir():
        sys.path.insert(0, str(installed))
    # The import must wait until the path is known.
    from gateway.__main__ import main as command_line  # noqa: PLC0415

    command_line()
