"""Fetch a price list from where the operator says it is."""

import time

import httpx

from recorder.price_refresh import RefusedPrices

LARGEST = 32 * 2**20
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LONGEST = 120.0
_OK = 200


def fetched(url: str, *, largest: int = LARGEST, longest: float = _LONGEST) -> bytes:
    """Return what is at `url`: TLS is verified, a redirect is not followed, and size and time (seconds) have bounds.

    Raises:
        RefusedPrices: it cannot be had like that.
    """
    end = time.monotonic() + longest
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client, client.stream("GET", url) as answer:
            if answer.status_code != _OK:
                raise RefusedPrices(
                    f"The server answered with status {answer.status_code}; the URL must lead to the list itself."
                )
            body = bytearray()
            for chunk in answer.iter_bytes(65_536):
                body += chunk
                if len(body) > largest:
                    raise RefusedPrices(f"The list is larger than {largest // 2**20} MiB.")
                if time.monotonic() > end:
                    raise RefusedPrices(f"The list did not arrive within {longest:.0f} seconds.")
            return bytes(body)
    except httpx.HTTPError as error:
        raise RefusedPrices(f"The list could not be fetched: {type(error).__name__}.") from error
    except httpx.InvalidURL:
        raise RefusedPrices("price_refresh.url is no address.") from None
