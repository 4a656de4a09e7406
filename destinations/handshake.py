"""Asking a receiver of webhooks whether it wants them, and how many: the abuse protection of CloudEvents' HTTP webhooks.

Source: https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md, section 4, read 2026-11.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from destinations.answers import retry_after_of
from destinations.http import Answer, ask, verdict_on
from domain.destinations import Misconfigured, Unavailable

if TYPE_CHECKING:
    import httpx

ORIGIN = "webhook-request-origin"
# How long a permission holds, in seconds. The specification sets no end; a receiver that changed its rate is heard within a day.
ASK_AGAIN = 86_400.0
_MINUTE = 60.0


class Permission:
    """A receiver's leave to send to it. It is asked before the first message, and what it allows a minute is not passed."""

    def __init__(
        self, client: "httpx.AsyncClient", url: str, headers: Mapping[str, str], *, origin: str, now: Callable[[], float]
    ) -> None:
        """Take where to ask, the headers to ask with, who asks (`origin`, a DNS name), and a clock in seconds."""
        self.headers = {ORIGIN: origin}
        self._client = client
        self._url = url
        self._asking = {**headers, **self.headers}
        self._origin = origin
        self._now = now
        self._ask_at = now()
        self._apart = 0.0
        self._next_at = now()

    async def check(self) -> None:
        """Return if a message may be sent now.

        Raises:
            Unavailable: not yet, by what the receiver allows a minute; or it did not answer.
            Misconfigured: it does not want messages from us.

        """
        if self._now() >= self._ask_at:
            await self._ask()
        wait = self._next_at - self._now()
        if wait > 0:
            raise Unavailable("the receiver allows no more messages a minute", retry_after=wait, throttled=True)
        self._next_at = self._now() + self._apart

    async def _ask(self) -> None:
        answer = await ask(self._client, self._url, headers=self._asking, method="OPTIONS")
        allowed = answer.headers.get("webhook-allowed-origin", "").strip()
        if allowed != "*" and allowed.lower() != self._origin.lower():
            raise self._refusal(answer)
        self._ask_at = self._now() + ASK_AGAIN
        self._apart = apart(answer.headers.get("webhook-allowed-rate", ""))

    def _refusal(self, answer: Answer) -> Unavailable | Misconfigured:
        """Return what an answer without permission means. What its status says is no permission, but may say that it cannot be given now."""
        status = answer.status
        verdict = verdict_on(status)
        if verdict in {"unavailable", "throttled"}:
            wait = retry_after_of(answer.headers)
            return Unavailable(f"HTTP {status} to OPTIONS", status=status, retry_after=wait, throttled=verdict == "throttled")
        return Misconfigured(
            f"HTTP {status} to OPTIONS, and no WebHook-Allowed-Origin for {self._origin}: it does not want its messages; "
            "have it allow them, or take `origin` out if it knows no such question",
            status=status,
            gone=verdict == "gone",
        )


def apart(rate: str) -> float:
    """Return how many seconds messages are to be apart for so many a minute; none where that is not said, or no number."""
    text = rate.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) == 0:  # noqa: PLR2004 - a billion is no limit
        return 0.0
    return _MINUTE / int(text)
