"""`faregate call ID`: one call, as a summary, as a command that repeats it, as messages, or as the bytes that passed."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from gateway.asking.client import AdminClient, in_path
from gateway.asking.finding import Gateway
from gateway.commands.failure import Failed, WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import clean, cost_of, rounded

# Headers that a client makes by itself, or that hold what a record never has.
_NOT_REPEATED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization", "x-api-key", "api-key"}
    | {"x-goog-api-key", "x-faregate-key", "expect", "cookie"}
)


@click.command()
@click.argument("call_id", metavar="ID")
@click.option("--curl", "form", flag_value="curl", help="Print a command that sends it again; the key is left to you.")
@click.option("--messages", "form", flag_value="messages", help="Print what was said, by whom.")
@click.option(
    "--raw", "form", flag_value="raw", help="Write the recorded bytes: the request's body, an empty line, the answer's body."
)
@json_option
@reaching
def call(*, call_id: str, form: str | None, as_json: bool, gateway: Gateway) -> None:
    """Show one call."""
    if as_json and form:
        raise WrongUsage(f"--json and --{form} cannot be had together; choose one")
    client = gateway.client()
    if form == "raw":
        _write_raw(client, call_id)
        return
    found = client.get(f"/api/v1/calls/{in_path(call_id)}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif form == "curl":
        click.echo(curl_of(found, client, gateway.url))
    elif form == "messages":
        _show(_messages(found))
    else:
        _show(_summary(found))


def curl_of(found: Mapping[str, Any], client: AdminClient, url: str) -> str:
    """Return a shell command that sends a call again through the gateway at `url`.

    Raises:
        Failed: its body was not kept whole, or is not text.
    """
    if found["request_headers"] is None:
        raise Failed(str(found["no_content"]))
    if found["content"] == "cut":
        raise Failed("The recorded copy of this call's body is cut, so it cannot be sent again.\nThe bound is record.copy_mb.")
    body, _ = client.bytes_of("GET", f"/api/v1/calls/{in_path(found['id'])}/request")
    parts = [f"curl {shlex.quote(url + found['path'])}", f"-X {shlex.quote(found['method'])}"]
    parts += [
        f"-H {shlex.quote(f'{name}: {value}')}" for name, value in found["request_headers"] if name.lower() not in _NOT_REPEATED
    ]
    parts.append('-H "authorization: Bearer $OPENAI_API_KEY"')
    if body:
        try:
            parts.append(f"--data-raw {shlex.quote(body.decode())}")
        except UnicodeDecodeError:
            advice = f"Save it and send it with --data-binary @FILE: GET /api/v1/calls/{found['id']}/request"
            raise Failed(f"The body of this call is not text.\n{advice}") from None
    return " \\\n  ".join(parts)


def _write_raw(client: AdminClient, call_id: str) -> None:
    request, _ = client.bytes_of("GET", f"/api/v1/calls/{in_path(call_id)}/request")
    response, _ = client.bytes_of("GET", f"/api/v1/calls/{in_path(call_id)}/response")
    sys.stdout.buffer.write(request + b"\n\n" + response)
    sys.stdout.buffer.flush()


def _show(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _summary(found: Mapping[str, Any]) -> Iterator[str]:
    usage = found["usage"] or {}
    labels = {name: value for name, value in found["labels"].items() if value and name != "tags"}
    rows: dict[str, Any] = {
        "call": found["id"],
        "request": f"{found['method']} {found['path']}",
        "outcome": f"{found['outcome']} ({found['status'] or 'no status'})",
        "error": _error(found["error"]),
        "model": _changed(found["model"], found["served_model"]),
        "upstream": found["upstream"],
        "key": f"{found['key']} (project {found['project']})",
        "started": found["started_at"],
        "took": _took(found),
        "tokens": _tokens(usage),
        "cost": cost_of(found),
        "labels": ", ".join(f"{name}={value}" for name, value in (labels | found["labels"]["tags"]).items()),
        "tools": ", ".join(f"{tool['name']}({tool['arguments']})" for tool in found["tool_calls"]),
        "finish": ", ".join(found["finish_reasons"]),
        "changed": ", ".join(found.get("changes", ())),
        "notes": "; ".join(found.get("notes", ())),
        "bytes": f"{found['request_bytes']:,} sent, {found['response_bytes']:,} received, content {found['content']}",
    }
    yield from (f"{name:9} {clean(value)}" for name, value in rows.items() if value)
    for number, attempt in enumerate(found["attempts"], 1):
        told = attempt["error"] or f"{attempt['status']} after {rounded(attempt['first_byte_ms'])} ms"
        yield clean(f"attempt {number} {attempt['upstream']}: {told}")
    for one in found["deliveries"]:
        tries = f"{one['attempts']} attempt{'' if one['attempts'] == 1 else 's'}"
        why = f": {one['error']}" if one["error"] and one["state"] != "delivered" else ""
        yield clean(f"sent to   {one['destination']}: {one['state']}, {tries}{why}")


def _error(error: Mapping[str, Any] | None) -> str | None:
    if error is None:
        return None
    kind = error["code"] or error["type"]
    return f"{kind}: {error['message']}" if kind else str(error["message"])


def _changed(asked: str | None, served: str | None) -> str | None:
    return asked if served is None or served == asked else f"{asked} (served by {served})"


def _took(found: Mapping[str, Any]) -> str | None:
    if found["latency_ms"] is None:
        return None
    first = found["time_to_first_chunk_ms"]
    return f"{rounded(found['latency_ms'])} ms" + (f", first chunk after {rounded(first)} ms" if first is not None else "")


def _tokens(usage: Mapping[str, Any]) -> str | None:
    if not usage:
        return None
    parts = [f"{usage['input_tokens']} in", f"{usage['output_tokens']} out"]
    parts += [
        f"{usage[f'{name}_tokens']} {name.replace('_', ' ')}"
        for name in ("cache_read", "cache_write", "reasoning")
        if usage[f"{name}_tokens"]
    ]
    return f"{', '.join(parts)} ({usage['source']})"


def _messages(found: Mapping[str, Any]) -> Iterator[str]:
    if found["input"] is None and found["output"] is None:
        raise Failed(str(found["no_content"] or "This call has no messages."))
    for role, text in [*_said(found["input"]), *_answered(found["output"])]:
        yield f"── {clean(role)}"
        # Line ends and tabs are what a text is made of; everything else that a terminal would obey is not.
        yield from (clean(line) for line in text.expandtabs().split("\n"))


def _said(asked: Any) -> Iterator[tuple[str, str]]:
    """Yield who said what in a request, whichever API it was for."""
    if not isinstance(asked, dict):
        return
    for name in ("system", "instructions", "prompt"):
        if asked.get(name):
            yield name, _text(asked[name])
    messages = asked.get("messages") or asked.get("input") or asked.get("contents") or ()
    if isinstance(messages, str):
        yield "user", messages
        return
    for message in messages if isinstance(messages, list) else ():
        yield from _one(message)


def _answered(answer: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(answer, dict):
        return
    for choice in answer.get("choices") or ():
        yield from _one(choice.get("message") or {"role": "assistant", "content": choice.get("text")})
    for candidate in answer.get("candidates") or ():
        yield from _one(candidate.get("content") or {})
    for item in answer.get("output") or ():
        yield from _one(item)
    if answer.get("type") == "message":
        yield from _one(answer)


def _one(message: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(message, dict):
        yield "user", _text(message)
        return
    role = str(message.get("role") or message.get("type") or "assistant")
    content = message.get("content") if "content" in message else message.get("parts")
    if content:
        yield role, _text(content)
    for tool in message.get("tool_calls") or ():
        function = tool.get("function") or {}
        yield f"{role} calls {function.get('name')}", str(function.get("arguments", ""))
    if not content and not message.get("tool_calls"):
        yield role, _text({name: value for name, value in message.items() if name not in {"role", "content"}})


def _text(content: Any) -> str:
    """Return content as text: the texts of its parts, and JSON for what is not text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_text(part) for part in content)
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return str(content["text"])
    return json.dumps(content, ensure_ascii=False)
