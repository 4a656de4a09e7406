"""Configurations for the gates of the wire tests."""

import time
from pathlib import Path

from domain.keys import ApiKey, digest
from storage.keyring import save_keys
from tests.harness.gate import free_port

MANAGED = "fg-" + "managed-key-of-the-wire-tests-0001"
NARROW = "fg-" + "narrow-key-of-the-wire-tests-00002"
EXPIRED = "fg-" + "expired-key-of-the-wire-tests-0003"
REVOKED = "fg-" + "revoked-key-of-the-wire-tests-0004"
ROTATED = "fg-" + "rotated-key-of-the-wire-tests-0005"
FORMER = "fg-" + "rotated-key-its-former-secret-0006"
POOL = tuple("sk-" + f"pool-{number}" for number in (1, 2, 3))
OWN = "sk-" + "upstreams-own-0001"
MOVING_ON = (401, 402, 403, 429, 500, 502, 503, 529)
STAYING = (400, 404, 409, 413, 422)
POOLS = (*MOVING_ON, *STAYING, "all", "reset", "pass", "late")

UPSTREAM = """
[upstreams.{name}]
base_url = "http://127.0.0.1:{port}{path}"
api_keys = [{keys}]
dialect = "{dialect}"
timeout = {{ {timeout} }}
"""
PATIENT = 'connect = "5s", first_byte = "30s", idle = "30s"'
HASTY = 'connect = "1s", first_byte = "1s", idle = "1s"'


def upstream_table(
    name: str, port: int, *, path: str = "/v1", dialect: str = "openai", keys: tuple[str, ...] = (OWN,), timeout: str = PATIENT
) -> str:
    """Return the table of one upstream at the scripted provider."""
    listed = ", ".join(f'"{key}"' for key in keys)
    return UPSTREAM.format(name=name, port=port, path=path, dialect=dialect, keys=listed, timeout=timeout)


def for_wire(port: int) -> str:
    """Return a configuration with every upstream at one scripted provider.

    Each test of falling back has a pool of its own, so that a credential that was taken out for a while is not missed by the next.
    """
    tables = [
        upstream_table("openai", port),
        upstream_table("anthropic", port, path="", dialect="anthropic"),
        upstream_table("gemini", port, path="", dialect="gemini"),
        upstream_table("hasty", port, timeout=HASTY),
        upstream_table("gone", free_port()),
        upstream_table("leave", port) + 'usage_in_streams = "leave"\n',
        *(upstream_table(f"pool-{name}", port, keys=POOL) for name in POOLS),
    ]
    return SERVER + "".join(tables) + KEYS


SERVER = """
[server]
header_timeout = "3s"
body_idle = "3s"
drain = "20s"
"""

KEYS = f"""
[keys.ci]
secret = "{MANAGED}"
tags = {{ team = "search" }}

[keys.narrow]
secret = "{NARROW}"
models = ["gpt-4o*"]
"""


def save_stored_keys(data: Path) -> None:
    """Write keys that are no longer good, as the office writes them."""
    data.mkdir(mode=0o700, exist_ok=True)
    now = time.time()
    save_keys(
        data / "keys.json",
        [
            ApiKey("k-expired", "expired", digest(EXPIRED), expires_at=now - 60),
            ApiKey("k-revoked", "revoked", digest(REVOKED), revoked_at=now - 60),
            ApiKey("k-rotated", "rotated", digest(ROTATED), previous=digest(FORMER), previous_until=now + 3600),
        ],
    )
