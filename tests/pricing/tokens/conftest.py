import pytest

from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings


@pytest.fixture(scope="session")
def encodings():
    """The tokenizers, loaded once for all tests: each takes half a second."""
    return Encodings()


@pytest.fixture(scope="session")
def counter(encodings):
    return TokenCounter(encodings)
