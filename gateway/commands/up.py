"""`faregate up`: gate and office, kept running. This process only watches, so it imports next to nothing; heavy work is done aside."""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click

from gateway.asking.probe import Place, answer_of
from gateway.commands.failure import Failed
from gateway.commands.options import Asked, json_option, serving
from gateway.running.accepted import Accepted
from gateway.running.aside import Refused, done_aside
from gateway.running.greeting import dashboard_json, dashboard_line, greeting, ready_json
from gateway.running.listening import CannotListen, listening_socket
from gateway.running.programs import Common, gate_programs, office_program
from gateway.running.quiet import Quiet
from gateway.running.ready import gate_answers, url_of
from gateway.running.reloading import reloadable
from gateway.running.supervisor import Signals, Supervisor, open_lifeline

_GATE_PATIENCE = 15.0
_OFFICE_PATIENCE = 60.0
_OK, _CREATED = 200, 201


@click.command()
@serving
@click.option("--quiet", "-q", is_flag=True, help="Print the address alone.")
@json_option
def up(*, asked: Asked, quiet: bool, as_json: bool) -> None:
    """Start gate and office, print how to use them, and keep them running until Ctrl-C.

    SIGHUP has the settings read again. With --json, one line says when the gate is ready, and another when the dashboard is.
    """
    plan = _aside(lambda: _plan(asked))
    for warning in plan["warnings"]:
        _say(warning)
    lock = _only_one(Path(plan["data"]))
    listener = _listener(plan)
    plan["port"] = listener.getsockname()[1]
    url = url_of(plan["host"], plan["port"])
    local = _aside(lambda: _local(plan["data"], url))
    greeter = Greeter(plan, local, url, "json" if as_json else "quiet" if quiet else "text")
    with lock, listener, Signals() as signals:
        accepted = Accepted(plan.pop("accepted"))
        programs = _programs(plan, listener, local, accepted)
        code = Supervisor(programs, _say, lambda: reloadable(lambda: _accepted(asked), _say, accepted.write)).run(
            signals, greeter.look
        )
    sys.exit(code)


class Greeter:
    """Greets when the gate answers, and again when the dashboard can be signed in to."""

    def __init__(self, plan: Mapping[str, Any], local: Mapping[str, str], url: str, form: str) -> None:
        """Greet in `form`: `text`, `json`, or `quiet`."""
        self._plan = plan
        self._local = local
        self._url = url
        self._form = form
        self._began = time.monotonic()
        self._steps = [self._greet, *([] if form == "quiet" else [self._show_dashboard])]
        self._worried = False

    def look(self) -> None:
        """Say what can be said by now."""
        while self._steps and self._steps[0]():
            self._steps.pop(0)

    def _greet(self) -> bool:
        if not gate_answers(self._plan["host"], self._plan["port"], timeout=0.2):
            if not self._worried and time.monotonic() - self._began > _GATE_PATIENCE:
                self._worried = True
                _say(f"The gate does not answer after {_GATE_PATIENCE:g} s; what it said is above. It is tried further.")
            return False
        if self._form == "quiet":
            _print([self._url])
        elif self._form == "json":
            _print([ready_json(self._facts())])
        else:
            _print(greeting(self._facts(), colours=sys.stdout.isatty()))
        return True

    def _show_dashboard(self) -> bool:
        place = Place(path=self._plan["office_socket"])
        answer = answer_of(place, "POST", "/api/v1/sign-in-links", token=self._local["admin_token"], timeout=0.5)
        path = str(answer[1]["path"]) if answer is not None and answer[0] == _CREATED else None
        if path is None and time.monotonic() - self._began < _OFFICE_PATIENCE:
            return False
        if self._form == "json":
            _print([dashboard_json(self._url, path)])
        else:
            _print([dashboard_line(self._url, path, colours=sys.stdout.isatty())])
        return True

    def _facts(self) -> dict[str, Any]:
        shown = {name: self._plan[name] for name in ("version", "data", "store", "config", "upstreams")}
        return {**shown, "data": _short(self._plan["data"]), "url": self._url, "key": self._local["key"], "pid": os.getpid()}


def _plan(asked: Asked) -> dict[str, Any]:
    # Settings cost more memory than this process should ever have: this runs aside.
    from dataclasses import asdict  # noqa: PLC0415

    from gateway.commands.version import version  # noqa: PLC0415
    from gateway.running.starting import plan_for  # noqa: PLC0415

    plan = asdict(plan_for(asked.config, os.environ, asked.flags))
    plan["accepted"] = _accepted(asked)
    return {**plan, "data": str(Path(plan["data"]).absolute()), "version": version()}


def _local(data: str, url: str) -> dict[str, str]:
    from gateway.running.local import note_local  # noqa: PLC0415 - as above
    from storage.folder import DataFolder  # noqa: PLC0415

    local = note_local(DataFolder(Path(data)), url, os.getppid(), os.environ)
    return {"admin_token": local.admin_token, "key": local.key}


def _accepted(asked: Asked) -> str:
    """Return the text of the settings file, which is a good one; of no file it is empty."""
    from config.loading import load_settings  # noqa: PLC0415 - as above

    while True:
        path = load_settings(asked.config, os.environ, asked.flags).path
        text = path.read_text() if path else ""
        # It may have been saved again between the two.
        if path is None or (load_settings(asked.config, os.environ, asked.flags).path == path and path.read_text() == text):
            return text


def _aside(work: Any) -> Any:
    try:
        return done_aside(work)
    except Refused as refused:
        raise Failed("\n".join(refused.problems)) from None


def _only_one(data: Path) -> IO[str]:
    """Return the lock of this data folder, held."""
    lock = (data / "run" / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip()
        raise Failed(
            f"Faregate runs on this data folder already (process {pid or 'unknown'}, data {_short(str(data))}).\n"
            "Use it (`faregate env`), stop it, or start another one on another folder: --data DIR"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _listener(plan: Mapping[str, Any]) -> socket.socket:
    try:
        return listening_socket(plan["host"], plan["port"], Path(plan["data"]))
    except CannotListen as error:
        raise Failed(str(error)) from None


def _programs(plan: Mapping[str, Any], listener: socket.socket, local: Mapping[str, str], accepted: Accepted) -> list[Any]:
    # The other end is kept open by this process, for as long as it lives.
    lifeline, _kept = open_lifeline()
    common = Common(accepted.path, plan["data"], plan["host"], plan["port"], lifeline, (accepted.fd,))
    place = Place(path=plan["office_socket"])

    quiet = Quiet()

    def recorded() -> bool:
        answer = answer_of(place, "GET", "/api/v1/status", token=local["admin_token"], timeout=0.5)
        # An office that cannot say how it is will not record in time either; the journal keeps what it did not.
        return answer is None or answer[0] != _OK or quiet.after(answer[1])

    gates = gate_programs(common, plan["workers"], listener.fileno(), plan["drain"], os.environ)
    return [*gates, office_program(common, recorded, os.environ)]


def _short(path: str) -> str:
    """Return a path as it is best read: from here, if it lies below."""
    try:
        return f"./{Path(path).relative_to(Path.cwd())}"
    except ValueError:
        return path


def _print(lines: list[str]) -> None:
    click.echo("\n".join(lines))


def _say(text: str) -> None:
    click.echo(f"faregate: {text}", err=True)
