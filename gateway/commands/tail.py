"""`faregate tail`: each call as it ends, for as long as anybody looks, over restarts of the office too."""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import click

from gateway.asking.client import AdminClient, Away
from gateway.asking.finding import Gateway
from gateway.commands.calls import calls_of, where_option
from gateway.commands.options import json_option
from gateway.commands.reaching import reaching
from gateway.commands.tables import CALL_HEADINGS, call_row, live_line

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 3.0
_REMEMBERED = 5_000
_MISSED = 1_000


@click.command()
@where_option
@json_option
@reaching
def tail(*, where: str | None, as_json: bool, gateway: Gateway) -> None:
    """Show each call as it ends, until Ctrl-C; with --json, one call a line."""
    show = _print_json if as_json else _print_row
    try:
        if not as_json:
            click.echo(live_line(CALL_HEADINGS), err=True)
        Follower(gateway.client(), where, show, lambda text: click.echo(f"faregate: {text}", err=True)).follow()
    except KeyboardInterrupt:
        return


class Follower:
    """Follows the stream of calls, and takes it up again when it breaks off. What ended in between is shown then."""

    def __init__(
        self, client: AdminClient, where: str | None, show: Callable[[Mapping[str, Any]], None], say: Callable[[str], None]
    ) -> None:
        """Follow the calls that meet `where`; `show` gets each once, `say` what people should know."""
        self._client = client
        self._where = where
        self._show = show
        self._say = say
        self._began = datetime.now().astimezone().isoformat()
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._lost = False
        self._pause = _SHORTEST_PAUSE

    def follow(self) -> None:
        """Follow for ever.

        Raises:
            Failed: the gateway cannot be reached to begin with, or refuses the condition or the token.
        """
        first = True
        while True:
            try:
                self._follow_once()
            except Away:
                if first and not self._lost:
                    raise
            first = False
            self._wait()

    def _follow_once(self) -> None:
        for name, value in self._client.events("/api/v1/stream", {"where": self._where}, begun=self._connected):
            if name == "call":
                self._pass_on(value)
            elif name == "cut_off":
                self._say(value["reason"])

    def _connected(self) -> None:
        self._pause = _SHORTEST_PAUSE
        if self._lost:
            self._lost = False
            self._say("connected again")
            missed, _ = calls_of(self._client, _MISSED, {"where": self._where, "from": self._began})
            for call in reversed(missed):
                self._pass_on(call)

    def _wait(self) -> None:
        if not self._lost:
            self._lost = True
            self._say("The connection broke off; trying again until Ctrl-C.")
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _pass_on(self, call: Mapping[str, Any]) -> None:
        if call["id"] in self._shown:
            return
        self._shown[call["id"]] = None
        if len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)
        self._show(call)


def _print_json(call: Mapping[str, Any]) -> None:
    click.echo(json.dumps(call))


def _print_row(call: Mapping[str, Any]) -> None:
    click.echo(live_line(call_row(call)))
