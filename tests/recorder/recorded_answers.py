"""Golden cases with the answer's bytes in a file of their own: what was recorded, and what the call made of it must be.

`<name>.case.json` says how the exchange went and what is expected; the answer stands beside it. In `expect`, `usage` and
`output_has` name only the fields that matter, everything else is compared whole.
"""

import json
from pathlib import Path
from typing import Any

from domain.calls import Call, Usage
from domain.exchange import Exchange
from tests.recorder.exchanges import closing, opening

GOLDEN = Path(__file__).parent / "golden"
JSON_TYPE = [["content-type", "application/json"]]


def names(api: str) -> list[str]:
    return sorted(path.name.removesuffix(".case.json") for path in (GOLDEN / api).glob("*.case.json"))


def case(api: str, name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / api / f"{name}.case.json").read_text())


def exchange_of(api: str, name: str, **changes: Any) -> Exchange:
    """Return the exchange of a case; `response`, `ending` and the whole `end` can be given to change it."""
    spec = case(api, name)
    response = changes.get("response", (GOLDEN / api / spec["body"]).read_bytes())
    end = closing(
        ending=changes.get("ending", spec.get("ending", "complete")),
        status=spec.get("status", 200),
        request_headers=_headers(spec.get("request_headers", JSON_TYPE)),
        response_headers=_headers(spec.get("response_headers", JSON_TYPE)),
        response_bytes=len(response),
    )
    start = opening(method=spec["method"], path=spec["path"], dialect=spec["dialect"], upstream=spec["dialect"])
    return Exchange(start, changes.get("end", end), _request(spec), response)


def _request(spec: dict[str, Any]) -> bytes:
    if "request_text" in spec:
        return spec["request_text"].encode()
    return json.dumps(spec["request"]).encode() if "request" in spec else b""


def _headers(pairs: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in pairs)


def assert_as_expected(api: str, name: str, call: Call) -> None:
    """Compare `call` with everything that the case expects."""
    for field, wanted in case(api, name)["expect"].items():
        _CHECKS.get(field, _same)(call, field, wanted, api)


def _same(call: Call, field: str, wanted: Any, _api: str) -> None:
    found = getattr(call, field)
    assert found == (tuple(wanted) if isinstance(found, tuple) else wanted), field


def _usage(call: Call, _field: str, wanted: Any, _api: str) -> None:
    if wanted is None:
        assert call.usage is None
        return
    assert call.usage is not None
    for name, value in wanted.items():
        assert _usage_field(call.usage, name) == value, name


def _usage_field(usage: Usage, name: str) -> Any:
    if name == "sub_calls":
        return [[sub.kind, sub.model, sub.usage.input_tokens, sub.usage.output_tokens] for sub in usage.sub_calls]
    if name == "has_flag":
        return next((flag for flag in usage.flags if flag == "anomalous"), None)
    value = getattr(usage, name)
    return list(value) if isinstance(value, tuple) else value


def _tools(call: Call, _field: str, wanted: Any, _api: str) -> None:
    assert [[tool.id, tool.name, tool.arguments] for tool in call.tool_calls] == wanted


def _error(call: Call, _field: str, wanted: Any, _api: str) -> None:
    assert (None if call.error is None else [call.error.type, call.error.code, call.error.message]) == wanted


def _output_has(call: Call, _field: str, wanted: Any, _api: str) -> None:
    assert {name: call.output[name] for name in wanted} == wanted


def _same_output(call: Call, _field: str, other: str, api: str) -> None:
    assert call.output == json.loads((GOLDEN / api / case(api, other)["body"]).read_text())


_CHECKS = {
    "usage": _usage,
    "tool_calls": _tools,
    "error": _error,
    "output_has": _output_has,
    "same_output_as": _same_output,
}
