"""Which version this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """Return the version, also in a checkout that was never installed."""
    try:
        return installed_version("faregate")
    except PackageNotFoundError:
        return "(not installed)"
