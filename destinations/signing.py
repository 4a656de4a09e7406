"""Signatures of webhooks: Standard Webhooks 1.0, by a shared secret (`whsec_`, HMAC-SHA256) or by a private key (`whsk_`, ed25519).

Source: https://www.standardwebhooks.com (specification 1.0.0), read 2026-11.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence

from destinations.extras import need

PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
SHORTEST_KEY = 24
# The seed of a private key, alone or with the public key that follows from it behind it.
_SEED = 32
_PRIVATE_KEYS = frozenset({_SEED, 2 * _SEED})

# Returns the signature of what is signed, with its version in front.
Sign = Callable[[bytes], str]


def check_secret(secret: str) -> None:
    """See that a secret is one that can sign, and that what that needs is installed.

    Raises:
        ValueError: it is something else, or too short to be safe. The message does not hold it.

    """
    if secret.startswith(PRIVATE_PREFIX):
        _private_key(secret)
        need("cryptography", "signing")
    else:
        key_of(secret)


def key_of(secret: str) -> bytes:
    """Return the bytes of a shared secret as people hold it: `whsec_` and base64.

    Raises:
        ValueError: it is something else, or too short to be safe. The message does not hold it.

    """
    key = _decoded(secret.removeprefix(PREFIX))
    if len(key) < SHORTEST_KEY or not secret.startswith(PREFIX):
        raise ValueError(
            f"a secret is {PREFIX} and {SHORTEST_KEY} or more random bytes in base64: write {PREFIX} before what `openssl rand -base64 32` prints"
        )
    return key


def signer_of(secret: str) -> Sign:
    """Return what signs by a secret of either kind.

    Raises:
        ValueError: it is none.

    """
    if secret.startswith(PRIVATE_PREFIX):
        return _private_signer(_private_key(secret))
    key = key_of(secret)
    return lambda said: f"v1,{_encoded(hmac.new(key, said, hashlib.sha256).digest())}"


def signed(signers: Sequence[Sign], message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove a message: one signature for each secret, over exactly the bytes that are sent.

    `message` is its id, the same in each try; `timestamp` (Unix seconds) is of this try.
    """
    said = f"{message}.{timestamp}.".encode() + body
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(said) for sign in signers),
    }


def _private_signer(key: bytes) -> Sign:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - an extra

    private = Ed25519PrivateKey.from_private_bytes(key[:_SEED])
    if key[_SEED:] not in {b"", private.public_key().public_bytes_raw()}:
        raise ValueError(f"the halves of this {PRIVATE_PREFIX} key do not belong together; was a part of it lost?")
    return lambda said: f"v1a,{_encoded(private.sign(said))}"


def _private_key(secret: str) -> bytes:
    key = _decoded(secret.removeprefix(PRIVATE_PREFIX))
    if len(key) not in _PRIVATE_KEYS:
        raise ValueError(f"a private key is {PRIVATE_PREFIX} and the 32 or 64 bytes of an ed25519 key in base64")
    return key


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _encoded(signature: bytes) -> str:
    return base64.b64encode(signature).decode()
