"""What every level of test may use."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.harness.upstream import ScriptedUpstream

LONGEST = ("compiled", "receivers", "whole", "cli", "sdk")

# The same examples everywhere, and no time limits: what holds does not depend on how busy a machine is.
settings.load_profile("ci")


def pytest_configure() -> None:
    """Take Ctrl-C as usual: what was started in the background ignores it, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that workers end at about the same time."""
    items.sort(
        key=lambda item: next((place for place, name in enumerate(LONGEST) if f"tests/{name}/" in item.nodeid), len(LONGEST))
    )


class FileScheduling(LoadScopeScheduling):
    """Tests of one file stay in one worker, and in order; those of the real platforms too, which are started once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/receivers" if file.startswith("tests/receivers/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling:
    return FileScheduling(config, log)


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    provider = ScriptedUpstream()
    yield provider
    provider.close()


@pytest.fixture(scope="session")
def second() -> Iterator[ScriptedUpstream]:
    """Another provider than `upstream`, for routes."""
    provider = ScriptedUpstream()
    yield provider
    provider.close()
