"""What `faregate up` prints: at most 16 lines, with nothing in them that is not needed for the first call."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def greeting(facts: Mapping[str, Any], *, colours: bool) -> list[str]:
    """Return the lines. `facts` are those of `ready_json`."""
    bold, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if colours else ("", "", "")
    url, key = facts["url"], facts["key"]
    return [
        f"{bold}faregate {facts['version']}{plain} · data {facts['data']} ({facts['store']}) · config {facts['config'] or 'none (defaults)'}",
        "",
        f"  {bold}Proxy{plain}      {url}/v1",
        f"  {bold}Key{plain}        {key}   {dim}(of this machine; `faregate keys create` makes others){plain}",
        "",
        "  Paste into the shell that runs your app:",
        f"    export OPENAI_BASE_URL={url}/v1",
        f"    export OPENAI_API_BASE={url}/v1",
        f"    export OPENAI_API_KEY={key}",
        "",
        "  or:  faregate run -- python app.py          or, without an account:  faregate demo",
        f"  Upstreams: {upstream_words(facts['upstreams'])}",
        "  Ctrl-C stops. `faregate doctor` checks everything above.",
    ]


def dashboard_line(url: str, path: str | None, *, colours: bool) -> str:
    """Return the line with the one-time link, or with the plain address if there is no link to be had."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if colours else ("", "")
    note = "(one-time link)" if path else "(the office is not up yet: `faregate doctor` says why)"
    return f"  {bold}Dashboard{plain}  {url}{path or '/'}   {note}"


def ready_json(facts: Mapping[str, Any]) -> str:
    """Return what a machine reads once the gate answers."""
    upstreams = [{"name": name, "credential": origin} for name, origin in facts["upstreams"]]
    return json.dumps({"event": "ready", **facts, "upstreams": upstreams, "proxy": f"{facts['url']}/v1"})


def dashboard_json(url: str, path: str | None) -> str:
    """Return what a machine reads once the dashboard can be signed in to."""
    return json.dumps({"event": "dashboard", "dashboard": f"{url}{path or '/'}", "one_time": path is not None})


def upstream_words(upstreams: Sequence[Sequence[str]]) -> str:
    """Return the upstreams in a line: `openai (OPENAI_API_KEY found) · sim (built in)`."""
    return " · ".join(f"{name} ({origin} found)" if origin.isupper() else f"{name} ({origin})" for name, origin in upstreams)
