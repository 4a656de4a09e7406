"""Servers of platforms: begun as soon as it is known that a test needs them, so that they start while other tests run, and ended after the last one."""

from collections.abc import Iterator, Mapping

import pytest

from tests.receivers.servers import MLFLOW, PHOENIX, NotThere, Server

SERVERS: Mapping[str, Server] = {kind.name: Server(kind) for kind in (PHOENIX, MLFLOW)}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what the chosen tests need. Of several workers each begins its own when it comes to that."""
    if session.config.option.collectonly or hasattr(session.config, "workerinput"):
        return
    for item in session.items:
        for name in SERVERS.keys() & set(getattr(item, "fixturenames", ())):
            SERVERS[name].begin()


def pytest_unconfigure() -> None:
    """End what runs yet, where tests were broken off."""
    for server in SERVERS.values():
        server.end()


@pytest.fixture(scope="package")
def phoenix() -> Iterator[Server]:
    """A Phoenix server, once it answers."""
    yield from _ready(SERVERS["phoenix"])


@pytest.fixture(scope="package")
def mlflow() -> Iterator[Server]:
    """An MLflow tracking server, once it answers."""
    yield from _ready(SERVERS["mlflow"])


def _ready(server: Server) -> Iterator[Server]:
    server.begin()
    try:
        server.wait()
    except NotThere as reason:
        server.end()
        pytest.skip(str(reason))
    yield server
    server.end()
