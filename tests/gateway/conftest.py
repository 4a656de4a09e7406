"""What tests of the gate share: a proxy on real sockets, and the providers that it calls."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.calling import Calling
from tests.harness import steps
from tests.harness.upstream import OK, ScriptedUpstream


@pytest.fixture
async def calling(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Calling]:
    """A proxy whose upstream answers well, until a test plans something else."""
    running = Calling(tmp_path, upstream)
    upstream.plan(steps.answer(OK))
    yield running
    running.close()


@pytest.fixture
def other(second: ScriptedUpstream) -> ScriptedUpstream:
    """A second provider, which answers well, too."""
    second.plan(steps.answer(OK))
    return second
