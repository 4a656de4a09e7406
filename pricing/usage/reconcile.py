"""Settle by the provider's total what its counts include: providers disagree whether reasoning and cache are inside.

Source: shared/reference/pricing.md section 2.3, rules 2 and 6 (recorded answers of each provider, 2026-08).
"""

from typing import NamedTuple


class Counted(NamedTuple):
    """Counts as a provider gave them; None is what it did not say. A tuple, because every call makes one."""

    prompt: int | None
    completion: int | None
    total: int | None = None
    reasoning: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


class Reconciled(NamedTuple):
    """The same in one meaning: all input, all output, and what of them was cache or reasoning."""

    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    reasoning: int | None
    flags: tuple[str, ...]


def reconciled(counted: Counted) -> Reconciled:
    """Return the counts with everything inside `input` and `output`.

    A total decides: prompt + completion, reasoning is inside; prompt + completion + reasoning, it is added; more than prompt +
    completion and no reasoning named, the rest is output that the provider hides (Gemini's OpenAI API). Any other total is
    flagged, and prompt and completion are trusted. Parts larger than their whole are clamped to it: `anomalous` for the cache,
    which has a price of its own, `reasoning_clamped` for reasoning, which has none.
    """
    flags: list[str] = []
    output, flag = _output(counted)
    cache_read, cache_write, reasoning = counted.cache_read, counted.cache_write, counted.reasoning
    prompt, cached = counted.prompt, (cache_read or 0) + (cache_write or 0)
    if (
        flag in {"total_mismatch", "hidden_output"}
        and cached
        and counted.total == (prompt or 0) + (counted.completion or 0) + cached
    ):
        flag, prompt, output = "cache_outside", (prompt or 0) + cached, counted.completion
    if flag:
        flags.append(flag)
    if prompt is not None and cached > prompt:
        flags.append("anomalous")
        cache_read = None if cache_read is None else min(cache_read, prompt)
        cache_write = None if cache_write is None else min(cache_write, prompt - (cache_read or 0))
    if reasoning is not None and output is not None and reasoning > output:
        flags.append("reasoning_clamped")
        reasoning = output
    return Reconciled(prompt, output, cache_read, cache_write, reasoning, tuple(flags))


def _output(counted: Counted) -> tuple[int | None, str]:
    """Return all output, and what was odd about it (or nothing)."""
    prompt, completion, total, reasoning = counted.prompt, counted.completion, counted.total, counted.reasoning
    if completion is None or prompt is None or total is None:
        return _output_without_total(counted)
    rest = total - prompt
    if rest == completion:
        return completion, ""
    if reasoning and rest == completion + reasoning:
        return rest, "reasoning_outside"
    if reasoning is None and rest > completion:
        return rest, "hidden_output"
    return completion, "total_mismatch"


def _output_without_total(counted: Counted) -> tuple[int | None, str]:
    """Return the output where one of the three counts is missing; None where there is none, as with embeddings.

    Reasoning that is more than the completion cannot be inside it.
    """
    completion, reasoning = counted.completion, counted.reasoning
    if completion is not None:
        outside = counted.total is None and reasoning is not None and reasoning > completion
        return (completion + (reasoning or 0), "reasoning_outside") if outside else (completion, "")
    if counted.prompt is not None and counted.total is not None and counted.total > counted.prompt:
        return counted.total - counted.prompt, ""
    return None, ""
