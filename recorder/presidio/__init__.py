"""Presidio as a further recogniser: an analyzer in a process of its own, which can be ended when it takes too long or too much memory."""

from recorder.presidio.analyzer import Analyzer, Options

__all__ = ["Analyzer", "Options"]
