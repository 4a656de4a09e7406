"""What every level of test may use."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.harness.upstream import ScriptedUpstream

LONGEST = ("receivers", "whole", "cli", "sdk")

# The same examples everywhere, and no time limits: what holds does not depend on how busy a machine is.
settings.load_profile("ci")


def pytest_configure() -> None:
    """Take Ctrl-C as usual: what was started in the background ignores it, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that workers end at about the same time; what is in one file stays together, and in order."""
    items.sort(
        key=lambda item: next((place for place, name in enumerate(LONGEST) if f"tests/{name}/" in item.nodeid), len(LONGEST))
    )
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    provider = ScriptedUpstream()
    yield provider
    provider.close()
