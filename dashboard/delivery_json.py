"""A delivery as JSON."""

from typing import Any

from dashboard.destination_desk import time_json
from domain.spans import rfc3339
from storage.deliveries import DeliveryRecord


def brief_json(record: DeliveryRecord) -> dict[str, Any]:
    """Return a delivery as the JSON of its call has it."""
    return {
        "destination": record.destination,
        "state": record.state,
        "attempts": max(record.tries, len(record.attempts)),
        "error": record.error,
    }


def delivery_json(record: DeliveryRecord) -> dict[str, Any]:
    """Return a delivery as JSON, with its last attempts, the oldest of them first."""
    return {
        "id": record.call_id or record.event_id,
        "of": "call" if record.event_id is None else "event",
        **brief_json(record),
        "status": record.status,
        "lane": record.lane,
        "owed_at": rfc3339(record.owed_at),
        "due_at": time_json(record.due_at),
        "on_its_way": record.claimed,
        "kind": record.kind,
        "note": record.note or None,
        "shortened": record.shortened,
        "otherwise": record.otherwise,
        "last_attempts": [{"at": rfc3339(one.at), "status": one.status, "error": one.error} for one in record.attempts],
    }
