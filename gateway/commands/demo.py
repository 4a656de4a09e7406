"""`faregate demo`: sample calls through the gate to the simulated provider, so that there is something to look at."""

import http.client
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from gateway.asking.client import AdminClient
from gateway.asking.finding import Gateway
from gateway.commands.failure import Failed, WrongUsage
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.run import new_session
from gateway.commands.tables import clean
from gateway.demo.script import Step, steps
from gateway.running.quiet import Quiet
from gateway.running.ready import wait_until

_PATIENCE = 60.0
_LONGEST_WAIT = 5.0
_OURS = "fg-"
_RECORDING = 2.0
_LABELLED = 'env == "demo"'
_GONE = "`faregate demo --clear` takes them away again."


@click.command()
@click.option("--history", metavar="30d", help="Make the calls of a whole past instead, about 5,000 over this time.")
@click.option("--clear", is_flag=True, help="Delete every recorded call labelled env=demo, and nothing else.")
@json_option
@reaching
def demo(*, history: str | None, clear: bool, as_json: bool, gateway: Gateway) -> None:
    """Make sample calls to the simulated provider: no account is needed, and they cost nothing. They are labelled env=demo."""
    if history and clear:
        raise WrongUsage("--history and --clear cannot be had together; clear first, then make another history")
    if history:
        _make_history(gateway, history, as_json=as_json)
    elif clear:
        _clear(gateway, as_json=as_json)
    else:
        _play(gateway, as_json=as_json)


def _make_history(gateway: Gateway, history: str, *, as_json: bool) -> None:
    client = AdminClient(gateway.url, gateway.token, patience=_PATIENCE)
    done = client.send("POST", "/api/v1/demo", {"history": history})
    if as_json:
        click.echo(json.dumps(done))
        return
    there = "" if done["new"] == done["made"] else f" ({done['made'] - done['new']:,} of them were there already)"
    click.echo(f"{done['made']:,} calls over {clean(history)}{there} → {_page(gateway, _LABELLED)}\n{_GONE}")


def _clear(gateway: Gateway, *, as_json: bool) -> None:
    client = AdminClient(gateway.url, gateway.token, patience=_PATIENCE)
    quiet = Quiet()
    # Sample calls that were made a moment ago may not be recorded yet, and would come after this.
    wait_until(lambda: quiet.after(client.get("/api/v1/status")), _RECORDING, pause=0.1)
    erased, place = 0, 0
    while place is not None:
        step = client.send("DELETE", f"/api/v1/demo?after={place}")
        erased, place = erased + step["erased"], step["next"]
    click.echo(json.dumps({"erased": erased}) if as_json else f"{erased:,} sample calls are deleted.")


def _page(gateway: Gateway, where: str) -> str:
    return f"{gateway.url}/?{urlencode({'where': where})}"


def _play(gateway: Gateway, *, as_json: bool) -> None:
    session = f"demo-{new_session().removeprefix('run-')}"
    caller = Caller(gateway, _key(gateway), session)
    script, answer, calls = steps(), None, 0
    while True:
        try:
            step = next(script) if calls == 0 else script.send(answer)
        except StopIteration:
            break
        status, answer = caller.call(step)
        calls += 1
        click.echo(json.dumps({"section": step.section, "says": step.says, "status": status}) if as_json else _line(step, status))
    if not as_json:
        where = f'session == "{session}"'
        click.echo(f"{calls} calls → {_page(gateway, where)}\nOr:  faregate calls --where '{where}'")


class Caller:
    """Sends the calls of a script through a gateway, as an app would."""

    def __init__(self, gateway: Gateway, key: str, session: str, wait: Callable[[float], None] = time.sleep) -> None:
        """Send with `key`, in one session."""
        self._url = gateway.url
        self._headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {key}",
            "x-faregate-session": session,
            "x-faregate-env": "demo",
            "x-faregate-customer": "acme",
        }
        self._wait = wait
        self._asked_to_wait = 0.0

    def call(self, step: Step) -> tuple[int, Any]:
        """Send one call; return the status, and the JSON of the answer if it was no stream.

        Raises:
            Failed: the gateway cannot be reached, or refuses us.
        """
        if step.retries:
            self._wait(min(self._asked_to_wait, _LONGEST_WAIT))
        parts = urlsplit(self._url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        with closing(kind(parts.hostname or "", parts.port, timeout=_PATIENCE)) as connection:
            try:
                headers = {**self._headers, **step.headers, "x-faregate-section": step.section}
                connection.request("POST", step.path, json.dumps(step.body), headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise Failed(f"The gateway at {self._url} does not answer.\nStart it with `faregate up`.") from error
        self._asked_to_wait = _seconds(answer.headers.get("retry-after"))
        if answer.headers.get("x-faregate-error-origin") == "gateway":
            raise Failed(f"The gateway refused the call: {_message(body)}")
        return answer.status, json.loads(body) if "json" in answer.headers.get("content-type", "") else None


def _key(gateway: Gateway) -> str:
    key = gateway.key or os.environ.get("OPENAI_API_KEY", "")
    if not key.startswith(_OURS):
        raise Failed(
            "The sample calls need a key of this gateway.\nMake one: export OPENAI_API_KEY=$(faregate keys create demo -q)"
        )
    return key


def _line(step: Step, status: int) -> str:
    return f"{status}  {step.section:28} {step.says}"


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return "it did not say why."
