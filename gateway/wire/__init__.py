"""Bytes and sockets of the gate: HTTP as it comes and goes, connections to upstreams, callers. It knows neither routes nor budgets."""
