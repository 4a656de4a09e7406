"""`GET /v1/models` of the simulated upstream, in the shape of whichever provider is asked."""

from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Json, json_answer
from gateway.sim.models import NAMES

_SINCE = 1_767_225_600
_SINCE_DAY = "2026-01-01T00:00:00Z"


def list_models(anthropic: bool) -> Answer:
    """List every simulated model."""
    if anthropic:
        ends = {"first_id": NAMES[0], "last_id": NAMES[-1], "has_more": False}
        return json_answer({"data": [_card(name, anthropic) for name in NAMES], **ends})
    return json_answer({"object": "list", "data": [_card(name, anthropic) for name in NAMES]})


def one_model(name: str, anthropic: bool) -> Answer:
    """Answer with one model."""
    if name not in NAMES:
        raise Refused(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
    return json_answer(_card(name, anthropic))


def _card(name: str, anthropic: bool) -> Json:
    if anthropic:
        return {"type": "model", "id": name, "display_name": f"Simulated {name}", "created_at": _SINCE_DAY}
    return {"id": name, "object": "model", "created": _SINCE, "owned_by": "faregate"}
