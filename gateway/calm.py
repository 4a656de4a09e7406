"""Garbage collection for processes that live long and make many short-lived values."""

import gc

THRESHOLDS = (20_000, 20, 50)


def calm_garbage_collection() -> None:
    """Look for cycles less often, and never among what lives as long as the process: a call leaves hardly any."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
