"""What a scripted upstream, or a client, does one after the other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes at once."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Read the request's body to its end."""


@dataclass(frozen=True, slots=True)
class Take:
    """Read this many bytes of what follows the head, whatever they mean."""

    size: int


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until `name` is signalled."""

    name: str


@dataclass(frozen=True, slots=True)
class Signal:
    """Signal `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class AwaitClosed:
    """Wait until the other side closed or reset the connection."""


@dataclass(frozen=True, slots=True)
class Linger:
    """Do nothing for so many seconds (for time limits only: where something can be waited for, `Await` it)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Flood:
    """Send `pieces` times the same piece of `size` bytes, or until the other side is gone."""

    pieces: int
    size: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection off with RST."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection with FIN."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send FIN and go on reading."""


@dataclass(frozen=True, slots=True)
class Got:
    """A client's step: read until these bytes have come, after those that an earlier `Got` waited for."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Leave:
    """A client's step: go, with `RST` or with FIN."""

    reset: bool = False


Step = Send | ReadBody | Take | Await | Signal | AwaitClosed | Linger | Flood | Reset | Close | HalfClose
ClientStep = Send | Got | Await | Signal | HalfClose | Leave
Script = tuple[Step, ...]


def answer(*pieces: bytes) -> Script:
    """Return a script that reads the body, then sends the pieces."""
    return (ReadBody(), *(Send(piece) for piece in pieces))


def in_lockstep(*pieces: bytes) -> Script:
    """Return a script that sends each piece after the first only when `piece-N` is signalled, so that none can be joined with the next."""
    steps: list[Step] = [ReadBody(), Send(pieces[0])]
    for number, piece in enumerate(pieces[1:], start=1):
        steps += [Await(f"piece-{number}"), Send(piece)]
    return tuple(steps)
