"""Signatures of webhooks: Standard Webhooks 1.0, symmetric.

Source: https://www.standardwebhooks.com (specification 1.0.0), read 2026-11.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
SHORTEST_KEY = 24


def key_of(secret: str) -> bytes:
    """Return the bytes of a secret as people hold it: `whsec_` and base64.

    Raises:
        ValueError: it is something else, or too short to be safe. The message does not hold it.

    """
    if secret.startswith("whsk_"):
        raise ValueError("whsk_ keys (ed25519) are not supported; give a whsec_ secret")
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < SHORTEST_KEY or text == secret:
        raise ValueError(
            f"a secret is {PREFIX} and {SHORTEST_KEY} or more random bytes in base64: write {PREFIX} before what `openssl rand -base64 32` prints"
        )
    return key


def signed(keys: Sequence[bytes], message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove a message: one signature for each key, over exactly the bytes that are sent.

    `message` is its id, the same in each try; `timestamp` (Unix seconds) is of this try.
    """
    said = f"{message}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode() for key in keys)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
