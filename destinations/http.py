"""One POST to a destination, and what its outcome means: taken, or one of the four ways not to be.

Source: ../shared/reference/destinations.md, section 8.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from destinations.addresses import AddressNotAllowed
from destinations.answers import excerpt_of, retry_after_of
from domain.destinations import DeliveryFailed, Misconfigured, Rejected, TooLarge, Unavailable

if TYPE_CHECKING:  # the gate reads the settings of destinations, and has no use for an HTTP client
    import httpx

ANSWER_BYTES = 64 * 1024
GZIP_LEVEL = 1
_FIRST_REDIRECT, _FIRST_ERROR, _FIRST_SERVER_ERROR = 300, 400, 500

Verdict = Literal["taken", "unavailable", "throttled", "rejected", "too_large", "misconfigured", "gone"]
_VERDICTS: Mapping[int, Verdict] = {
    **dict.fromkeys((401, 402, 403, 404, 405, 406, 407, 415, 426, 431, 451, 501, 505, 507, 511), "misconfigured"),
    408: "unavailable",
    410: "gone",
    413: "too_large",
    425: "unavailable",
    429: "throttled",
}
_WHAT_TO_DO: Mapping[int, str] = {
    401: "it does not accept the credentials",
    402: "its plan or quota is used up",
    403: "it refuses the credentials, or what they may do",
    404: "there is nothing at this address; look at the URL",
    405: "this address takes no such requests; look at the URL",
    410: "it is gone for good",
    413: "the request was too large for it",
    415: "it does not understand this encoding",
    429: "it was asked too often",
    507: "its storage is full",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination answered. Header names are lower-case; `body` is uncompressed, `cut` where there was more than the bound."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


# A destination's own view of an answer; None where the usual table holds.
Judge = Callable[[Answer], Verdict | None]
# Compresses a body; returns it with the headers that say so.
Pack = Callable[[bytes], tuple[bytes, Mapping[str, str]]]


def gzipped(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """Return a body compressed by gzip, with the header that says so."""
    return zlib.compress(body, GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16), {"content-encoding": "gzip"}


async def post(  # noqa: PLR0913 - what a request is made of
    client: "httpx.AsyncClient",
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    content_type: str,
    pack: Pack | None = None,
    method: str = "POST",
    answer_bytes: int = ANSWER_BYTES,
    judge: Judge | None = None,
) -> Answer:
    """Send a body, once, and return the answer if it was taken.

    `pack` compresses it on the way. `judge` is asked first what an answer means. Messages of errors hold the beginning of the answer, without what we
    sent: neither the values of `headers` nor pieces of `url` nor texts of `body`.

    Raises:
        Unavailable: no answer, or one that asks to come back later.
        Rejected: something in the body is wrong.
        TooLarge: the body is.
        Misconfigured: nothing will be taken until somebody changes something; the address is not allowed, or redirects.

    """
    sent, packed = (body, {}) if pack is None else await asyncio.to_thread(pack, body)
    told = {**headers, "content-type": content_type, **packed}
    answer = await _asked(client, method, url, sent, told, answer_bytes)
    verdict = (judge(answer) if judge is not None else None) or verdict_on(answer.status)
    if verdict == "taken":
        return answer
    excerpt = await asyncio.to_thread(excerpt_of, answer.body, body, headers, url)
    raise _failure(verdict, answer, excerpt)


async def ask(
    client: "httpx.AsyncClient", url: str, *, headers: Mapping[str, str], method: str = "GET", answer_bytes: int = ANSWER_BYTES
) -> Answer:
    """Return what is answered to a request without a body, whatever its status.

    Raises:
        Unavailable: no answer.
        Misconfigured: the address is not allowed, or its certificate not trusted.

    """
    return await _asked(client, method, url, None, headers, answer_bytes)


def verdict_on(status: int) -> Verdict:
    """Return what a status means where a destination says nothing else."""
    if status in _VERDICTS:
        return _VERDICTS[status]
    if status < _FIRST_REDIRECT:
        return "taken"
    if status < _FIRST_ERROR:
        return "misconfigured"
    return "rejected" if status < _FIRST_SERVER_ERROR else "unavailable"


async def _asked(  # noqa: PLR0913, PLR0917 - as `post`
    client: "httpx.AsyncClient", method: str, url: str, body: bytes | None, headers: Mapping[str, str], most: int
) -> Answer:
    import httpx  # noqa: PLC0415 - see above

    try:
        # The client's limits are for each step; an answer that drips must end too.
        async with (
            asyncio.timeout(client.timeout.read),
            client.stream(method, url, content=body, headers=dict(headers)) as response,
        ):
            text, cut = await _bounded(response, most)
            return Answer(response.status_code, dict(response.headers.items()), text, cut)
    except AddressNotAllowed as error:
        raise Misconfigured(str(error)) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
        raise Misconfigured("the URL or a header of the destination cannot be used; look at its settings") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise Unavailable("no answer in time") from error
    except httpx.HTTPError as error:
        raise _no_answer(error) from error


def _no_answer(error: Exception) -> DeliveryFailed:
    """Return what it means that a connection failed. A certificate that is not trusted does not mend by itself."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return Misconfigured("its certificate is not trusted; set `ca_file` if it is signed by a CA of your own")
    return Unavailable(f"no answer: {type(error).__name__}{': ' + text[:200] if text else ''}")


async def _bounded(response: "httpx.Response", most: int) -> tuple[bytes, bool]:
    """Return the beginning of an answer's body, uncompressed, and whether there was more; the rest is not read."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > most:
            break
    raw = b"".join(parts)
    if "gzip" in response.headers.get("content-encoding", ""):
        return _unzipped(raw[:most], most)
    return raw[:most], size > most


def _unzipped(raw: bytes, most: int) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(raw, most)
    except zlib.error:
        return b"", True
    return text, not unpacker.eof


def _failure(verdict: Verdict, answer: Answer, excerpt: str) -> DeliveryFailed:
    status = answer.status
    what = _WHAT_TO_DO.get(status, "")
    if _FIRST_REDIRECT <= status < _FIRST_ERROR:
        what = "it redirects, which is not followed; set the URL that it leads to"
    message = f"HTTP {status}" + (f": {what}" if what else "") + (f" ({excerpt})" if excerpt else "")
    if verdict in {"unavailable", "throttled"}:
        throttled = verdict == "throttled"
        return Unavailable(message, status=status, retry_after=retry_after_of(answer.headers), throttled=throttled)
    if verdict == "rejected":
        return Rejected(message, status=status)
    if verdict == "too_large":
        return TooLarge(message, status=status)
    return Misconfigured(message, status=status, gone=verdict == "gone")
