"""`faregate run -- COMMAND`: a program whose calls go through the gate, and what they came to."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import FrameType
from typing import Any, Self
from urllib.parse import urlencode

import click

from gateway.asking.client import AdminClient
from gateway.asking.finding import Gateway
from gateway.asking.pointing import base_urls, keys_for, label_values
from gateway.commands.calls import calls_of
from gateway.commands.failure import Failed, WrongUsage
from gateway.commands.options import pairs
from gateway.commands.reaching import reaching
from gateway.running.quiet import Quiet
from gateway.running.ready import wait_until

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_RECORDING = 2.0
_MOST = 10_000


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--session", default="auto", metavar="S|auto", help="The session of its calls; auto makes one (the default).")
@click.option("--section", metavar="P", help="The section of its calls, such as agent:researcher.")
@click.option("--customer", metavar="C", help="The customer that they are for.")
@click.option("--tag", "tags", metavar="K=V", multiple=True, callback=pairs, help="A tag; may be there several times.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@reaching
def run(*, command: tuple[str, ...], tags: Mapping[str, str], gateway: Gateway, **labels: str | None) -> None:
    """Run COMMAND with its calls going through the gate, and print what they came to.

    A provider's key in the environment stays: it passes through. Without one, the program gets this machine's gateway key.
    """
    session = labels["session"] if labels["session"] not in {None, "", "auto"} else new_session()
    _refuse_silence(gateway)
    values = label_values(session, labels["section"], labels["customer"], tags)
    environment = {**os.environ, **base_urls(gateway.url, values), **keys_for(os.environ, gateway.key)}
    began = datetime.now().astimezone()
    code = exit_code_of(command, environment)
    click.echo(_summary(gateway, str(session), began), err=True)
    sys.exit(code)


def new_session() -> str:
    """Return a name for a session that nobody has used: the time, for people, and chance."""
    return f"run-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def exit_code_of(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program to its end, with our input, output and signals; return its exit code as a shell would."""
    with _Signals() as signals:
        try:
            process = subprocess.Popen(command, env=environment)  # noqa: S603 - what the user asked for
        except FileNotFoundError:
            click.echo(f"faregate: there is no program {command[0]!r}.", err=True)
            return NOT_FOUND
        except OSError as error:
            click.echo(f"faregate: {command[0]!r} cannot be run: {error.strerror}.", err=True)
            return NOT_EXECUTABLE
        signals.go_to(process)
        code = process.wait()
    return code if code >= 0 else 128 - code


class _Signals:
    """Passes signals on to a program; those that come before it runs, as soon as it does.

    Ctrl-C reaches the program from the terminal itself, as it does us: it is passed on only where there is none.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Before the program is there: a signal in between would end us, and leave it alone.
        handlers = dict.fromkeys(_PASSED_ON, self._pass_on) | {
            signal.SIGINT: self._leave if sys.stdin.isatty() else self._pass_on
        }
        self._old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def go_to(self, process: subprocess.Popen[bytes]) -> None:
        """Pass on what came, and what will come."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        del number, frame


def _refuse_silence(gateway: Gateway) -> None:
    """Say at once that the gateway is away: the program's own errors would say it worse."""
    try:
        gateway.client().bytes_of("GET", "/healthz")
    except Failed as error:
        raise WrongUsage(error.message) if "not the address" in error.message else error from None


def _summary(gateway: Gateway, session: str, began: datetime) -> str:
    """Return a line on what the session's calls came to since `began`."""
    client = AdminClient(gateway.url, gateway.token, patience=10.0)
    where = f"{gateway.url}/?{urlencode({'where': 'session == ' + json.dumps(session)})}"
    try:
        quiet = Quiet()
        all_recorded = wait_until(lambda: quiet.after(client.get("/api/v1/status")), _RECORDING, pause=0.1)
        calls, more = calls_of(client, _MOST, {"session": session, "from": began.isoformat()})
    except Failed as error:
        return f"faregate: the calls of session {session} cannot be summed up now: {error.message.splitlines()[0]}"
    if not all_recorded:
        return f"{summary_of(calls)} so far; others are still being recorded → {where}"
    if not calls:
        return "0 calls. If the program makes some, it may not read OPENAI_BASE_URL, OPENAI_API_BASE or ANTHROPIC_BASE_URL."
    return f"{summary_of(calls)}{' (and more)' if more else ''} → {where}"


def summary_of(calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the sum of calls in a line: `12 calls · 18,204 tok · $0.0311 · 1 error`."""
    usages = [call["usage"] or {} for call in calls]
    tokens = sum((usage.get("input_tokens") or 0) + (usage.get("output_tokens") or 0) for usage in usages)
    errors = sum(call["outcome"] != "ok" for call in calls)
    parts = [_counted(len(calls), "call"), f"{tokens:,} tok", _cost(calls)]
    return " · ".join([*parts, *([_counted(errors, "error")] if errors else [])])


def _cost(calls: Sequence[Mapping[str, Any]]) -> str:
    """Return what is known of the cost, and of how many calls it is not."""
    known = [Decimal(call["cost_usd"]) for call in calls if call["cost_usd"] is not None]
    unknown = sum(call["cost_status"] == "unknown" for call in calls)
    if unknown and not any(known):
        return "cost unknown"
    return f"${sum(known, Decimal(0)):f}" + (f" and {unknown} unknown" if unknown else "")


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
