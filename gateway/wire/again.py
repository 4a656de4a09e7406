"""A request whose head came before on its connection: an app sends the same one with every call, but for the body's length.

The same bytes mean the same, so they are compared instead of parsed and understood again. Anything that is different in the least goes to the parser.
"""

import re
from dataclasses import dataclass

from gateway.wire.heads import RequestHead

LARGEST_HEAD = 4096
MOST_DIGITS = 15
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LastHead:
    """The head of the last request: its bytes before and behind the digits of the body's length, and what it means."""

    before: bytes
    after: bytes
    method: bytes
    head: RequestHead

    def again(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the length as it was written and the body, where `data` is one whole request with this head; else None."""
        start = len(self.before)
        end = data.find(b"\r\n", start, start + MOST_DIGITS + 2)
        if end < 0:
            return None
        digits = data[start:end]
        if not digits.isdigit() or digits[0] == b"0"[0]:
            return None
        if not (data.startswith(self.before) and data.startswith(self.after, end)):
            return None
        body = end + len(self.after)
        return (digits, data[body:]) if len(data) - body == int(digits) else None


def last_head(data: bytes, method: bytes, head: RequestHead) -> LastHead | None:
    """Return the head at the beginning of `data`, as the parser understood it, where the next call may have the same; else None.

    Only plain ones: HTTP/1.1, a length, no transfer coding, nothing to wait for. `data` must be that one request and nothing else.
    """
    if not head.http11 or head.coded or head.expects or not data.startswith(b"%b %b HTTP/1.1\r\n" % (method, head.target)):
        return None
    end = data.find(b"\r\n\r\n", 0, LARGEST_HEAD) + 4
    found = _LENGTH.search(data, 0, end)
    if found is None or len(data) - end != int(found[1]):
        return None
    return LastHead(data[: found.start(1)], data[found.end(1) : end], method, head)
