"""What `faregate doctor` checks of destinations: a line each, of the first thing that is wrong, or how well it is."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from destinations.addresses import place_of, why_not
from destinations.base import DestinationConfig
from gateway.asking.findings import Finding
from gateway.commands.tables import local_time

# States in which nothing is delivered until somebody does something.
_STOPPED = frozenset({"misconfigured", "disabled"})
_FAILING = frozenset({"failing", "open"})
_OLD_SECONDS = 600.0

Resolve = Callable[[str, int], Sequence[str]]


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses that a name stands for.

    Raises:
        OSError: it is not known.

    """
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


def destination_findings(
    configs: Mapping[str, DestinationConfig], told: Sequence[Mapping[str, Any]] | None, resolve: Resolve = resolved
) -> Iterator[Finding]:
    """Yield how each destination is: `configs` are those of the settings here, `told` is what the gateway says of its own, None if none answers."""
    standing = {one["name"]: one for one in told or ()}
    for name in sorted({*configs, *standing}):
        config = configs.get(name)
        wrong = _address_finding(name, config, resolve) if config is not None else None
        if told is None:
            yield wrong or _good(name, "its settings are right; no gateway says how it stands")
        else:
            yield wrong or _standing_finding(name, standing.get(name))


def _address_finding(name: str, config: DestinationConfig, resolve: Resolve) -> Finding | None:
    """Return what is wrong with where a destination is; None if nothing is, or it is no place on the network."""
    url = getattr(config, "url", None)
    if url is None or hasattr(url, "get_secret_value"):
        return None
    parts = urlsplit(str(url))
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    setting = f"faregate config show --origin   (destinations.{name}.url)"
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError):
        return _bad(name, f"the name of {host} is not known", setting)
    for address in addresses:
        reason = why_not(address, allow_private=config.allow_private)
        if reason is not None:
            return _bad(name, f"{place_of(host, address)}, where nothing is sent: {reason}", setting)
    return None


def _standing_finding(name: str, one: Mapping[str, Any] | None) -> Finding:
    if one is None:
        return _bad(name, "the running gateway does not have it yet", "start `faregate up` again with these settings")
    if one["state"] == "removed":
        return _removed_finding(name, one["counts"]["pending"])
    wrong = _trouble(name, one)
    if wrong is not None:
        return _bad(name, *wrong)
    counts = one["counts"]
    last = f"last success {local_time(one['last_ok_at'])}" if one["last_ok_at"] else "nothing sent since the start"
    return _good(name, f"{last}, {counts['delivered']} delivered, {counts['pending']} pending")


def _removed_finding(name: str, pending: int) -> Finding:
    if not pending:
        return _good(name, "the settings do not have it any more, and nothing waits for it")
    mend = f"write [destinations.{name}] again, or `faregate destinations discard {name} --pending --all`"
    return _bad(name, f"the settings do not have it any more; {pending} pending", mend)


def _trouble(name: str, one: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what is wrong with deliveries, and the command that mends it; None if nothing is."""
    counts, state = one["counts"], one["state"]
    pending = f"{counts['pending']} pending"
    if state in _STOPPED:
        mend = f"faregate config show --origin   (destinations.{name}), then `faregate destinations test {name}`"
        return f"{state}: {one['why'] or one['last_error']}; {pending}", mend
    if state in _FAILING:
        return f"{state}: {one['last_error'] or one['why']}; {pending}", f"faregate destinations test {name}"
    if counts["dead_kept"]:
        return f"{counts['dead_kept']} dead, {pending}", f"faregate destinations failed {name}"
    if (one["oldest_age_seconds"] or 0) > _OLD_SECONDS:
        return f"{pending}, the oldest for {one['oldest_age_seconds']:.0f} s", f"faregate destinations show {name}"
    return None


def _good(name: str, fact: str) -> Finding:
    return Finding(f"⇒ {name}", ok=True, fact=fact)


def _bad(name: str, fact: str, mend: str) -> Finding:
    return Finding(f"⇒ {name}", ok=False, fact=fact, mend=mend)
