"""What every level of test may use."""

from collections.abc import Iterator

import pytest

from tests.harness.upstream import ScriptedUpstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    provider = ScriptedUpstream()
    yield provider
    provider.close()
