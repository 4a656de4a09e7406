"""What was recorded, as the office's API shows it."""

from collections.abc import Iterator
from typing import Any, Self

import httpx

from storage.folder import DataFolder
from tests.harness.gate import Gate
from tests.harness.wire import until


class Records:
    """Reads recorded calls from a running gateway."""

    def __init__(self, gate: Gate) -> None:
        """Find the admin token where the gateway keeps it for its own user."""
        local = DataFolder(gate.data).local()
        assert local is not None, f"no {gate.data}/local.json"
        self._client = httpx.Client(
            base_url=gate.url, headers={"authorization": f"Bearer {local.admin_token}"}, trust_env=False, timeout=20
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def all(self) -> Iterator[dict[str, Any]]:
        """Yield every recorded call, newest first."""
        cursor: str | None = None
        while True:
            asked = {"limit": "200", **({"cursor": cursor} if cursor else {})}
            answer = self._client.get("/api/v1/calls", params=asked)
            answer.raise_for_status()
            page = answer.json()
            yield from page["calls"]
            cursor = page["next_cursor"]
            if not cursor:
                return

    def find(self, call: str) -> dict[str, Any] | None:
        """Return one call, or None where it is not recorded (yet)."""
        try:
            answer = self._client.get(f"/api/v1/calls/{call}")
        except httpx.TransportError:
            return None
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    def one(self, call: str | None) -> dict[str, Any]:
        """Return one call, as soon as it is recorded."""
        assert call, "the answer did not say which call it was"
        until(lambda: self.find(call) is not None, f"call {call} is not recorded")
        found = self.find(call)
        assert found is not None
        return found

    def missing(self, calls: set[str], patience: float = 60) -> set[str]:
        """Return which of these calls are not recorded, after waiting for them."""
        left = set(calls)

        def none_left() -> bool:
            try:
                left.difference_update(record["id"] for record in self.all())
            except httpx.HTTPError:
                return False
            return not left

        try:
            until(none_left, "some calls are not recorded", patience)
        except TimeoutError:
            return left
        return left
