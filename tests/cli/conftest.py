import pytest

from tests.cli.installation import Up


@pytest.fixture(scope="session")
def up(tmp_path_factory):
    running = Up(tmp_path_factory.mktemp("up"))
    running.event("ready")
    running.event("dashboard")
    yield running
    assert running.stop() == 0, running.complained


@pytest.fixture
def begin(tmp_path):
    """Start one of one's own, in the test's folder; whatever happens, it is stopped at the end."""
    running = []

    def start(*arguments, **more):
        running.append(Up(tmp_path, *arguments, **more))
        return running[-1]

    yield start
    for one in running:
        one.stop()
