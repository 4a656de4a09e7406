"""The page of metrics, from `gateway/metrics.py`."""

from gateway.metrics import HELP

_START = """# Metrics

`/metrics` is for Prometheus, in its text format. Whichever gate worker is asked answers for all workers of the machine and for the office beside them. The
office writes its figures down every few seconds, so those of deliveries are that old at most. With a store that many offices share, the counts of
deliveries are the store's, the same at each of them: take the maximum, not the sum.

Names of metrics and labels are kept. Values of labels come from closed sets: names of destinations in your settings, states, statuses, error codes. No
caller can make a new one.

| metric | kind | is |
| --- | --- | --- |
"""
_END = """
| label | is |
| --- | --- |
| `ending`, `status` | how a call ended, and the class of the answer's status (`2xx`), `none` without an answer |
| `code` | the [error](errors.md) that a request was refused with |
| `destination` | its name in the settings |
| `state` of `faregate_deliveries_total` | `delivered` or `refused` |
| `state` of `faregate_destination_state` | see [destinations at work](destinations-operations.md) |
| `outcome` | what came of a request to a destination: `delivered`, `unavailable`, `throttled`, `rejected`, `too_large`, `misconfigured` |
| `le` | seconds, the upper bound of a bucket |
"""


def metrics_page() -> str:
    """Return the whole page."""
    return _START + "".join(f"| `{name}` | {kind} | {text} |\n" for name, (kind, text) in HELP.items()) + _END
