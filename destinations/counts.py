"""Sums of the tokens of a call that platforms ask for. What is unknown stays unknown."""

from domain.calls import Usage


def total_tokens(usage: Usage) -> int | None:
    """Return the tokens that went in and came out; None where either is not known."""
    return None if usage.input_tokens is None or usage.output_tokens is None else usage.input_tokens + usage.output_tokens


def plain_input_tokens(usage: Usage) -> int | None:
    """Return the tokens that went in and were neither read from a cache nor written to one, for platforms that count those apart."""
    if usage.input_tokens is None:
        return None
    return max(usage.input_tokens - (usage.cache_read_tokens or 0) - (usage.cache_write_tokens or 0), 0)
