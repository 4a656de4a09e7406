"""Packages that only some destinations need, and that are therefore not installed with Faregate by itself."""

from importlib.util import find_spec


def need(package: str, extra: str) -> None:
    """Look whether a package is installed, without importing it.

    Raises:
        ValueError: it is not; the message says what to install.

    """
    if find_spec(package) is None:
        raise ValueError(
            f"this needs the package {package}: install faregate[{extra}], for example with `pip install 'faregate[{extra}]'`"
        )
