"""A request as it goes to one target: its head and body, with what must differ there spliced in; everything else stays as the app wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec import UNSET

from domain.errors import PermissionDenied
from domain.keys import PREFIX
from gateway.identity import Identity
from gateway.sending.outgoing import Credential, outgoing_head
from gateway.sending.plans import Plan
from gateway.sending.routes import Route, Target, model_in
from gateway.sending.upstreams import Outgoing
from gateway.tee.recording import Recording
from gateway.wire.caller import Caller
from gateway.wire.heads import BROWSER_KEY, RequestHead
from gateway.wire.peek import Asked, Edit, edited, model_edit

if TYPE_CHECKING:
    from gateway.budgets.hold import Holding
    from gateway.sending.choosing import Choice

READING = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})
_MODELLESS = (b"/files", b"/uploads", b"/batches")
_FORM_FIELD = b'name="model"\r\n\r\n'
_OURS = PREFIX.encode()


@dataclass(slots=True)
class Admitted:
    """A call as it is known before it is sent. `targets` are to be tried in this order; `choice` says what else a route wants."""

    head: RequestHead
    body: bytes
    asked: Asked
    plan: Plan
    ask_usage: bool
    edits: tuple[Edit, ...]
    holding: "Holding | None" = None
    metered_tokens: int = 0
    targets: Sequence[Target] = ()
    choice: "Choice | None" = None

    @property
    def streams(self) -> bool | None:
        """Whether a stream is asked for, in the body or by Gemini's path; None where the body cannot be read."""
        if b":streamGenerateContent" in self.plan.path:
            return True
        return None if self.asked.fields is None else self.asked.stream is True


def shaped(call: Admitted, caller: Caller, target: Target, record: Recording) -> Outgoing:
    """Return the request as it goes to `target`, and note what was changed in it."""
    head, body, moved = call.head, call.body, target.route
    route = call.plan.route if moved is None else moved
    edit = _rename(call, route) if route.renamed and route.model is not None else None
    edits = call.edits if edit is None else (*call.edits, edit)
    # Gemini and Azure have the model's name in the path.
    renamed = edit is not None or (target.model is not None and model_in(route.path) == target.model)
    record.changes = ()
    if edits:
        body = edited(body, edits)
        record.changes = _changes(call, renamed=renamed)
        if call.holding is not None:
            record.changes += call.holding.changes
    elif renamed:
        record.changes = ("model",)
    before, after = outgoing_head(
        _with_browser_key(head, target.credential) if head.key_in_protocols else head,
        caller.method,
        call.plan.path if moved is None else moved.path,
        target.upstream,
        target.credential,
        uncompressed=call.ask_usage or (call.holding is not None and call.holding.metered),
        upgrade=caller.upgrade,
    )
    if after:
        before = b"%b%b%b" % (before, _length(caller, call.body, body), after)
    # What was held may be less than what has come since: somebody was waited for in between.
    whole = caller.body.complete and len(call.body) == caller.body.size
    return Outgoing(caller.method, before, body, head.coded, None if whole else caller.body)


def may_use(identity: Identity, route: Route, method: bytes, body: bytes) -> None:
    """Refuse a key that may not use the model, or whose model cannot be told.

    Raises:
        PermissionDenied: it may not.

    """
    key = identity.key
    model = route.model or form_model(body)
    if model is None:
        if is_modelless(method, route.path):
            return
        raise PermissionDenied(
            f"The key {key.name!r} may use only some models, and this request does not say which one it wants. Put `model` in it."
        )
    if not (key.may_use(model) or key.may_use(f"{route.upstream.name}/{model}")):
        raise PermissionDenied(f"The key {key.name!r} may not use the model {model!r}. It may use: {', '.join(key.models)}.")


def is_modelless(method: bytes, path: bytes) -> bool:
    """Return whether a call is about no model: it only looks at something, or hands over a file."""
    return method in READING or any(part in path for part in _MODELLESS)


def form_model(body: bytes) -> str | None:
    """Return the field `model` of a multipart form, if it is in the part that is held."""
    place = _form_place(body)
    return None if place is None else body[place[0] : place[1]].decode("utf-8", "replace") or None


def _form_place(body: bytes) -> tuple[int, int] | None:
    at = body.find(_FORM_FIELD)
    if at < 0:
        return None
    start = at + len(_FORM_FIELD)
    end = body.find(b"\r\n", start)
    return None if end < 0 else (start, end)


def _rename(call: Admitted, route: Route) -> Edit | None:
    """Return the edit that puts the model's name at the upstream in the place of the one that the app wrote; None where it is not in the body."""
    model = route.model or ""
    if call.asked.model is not None:
        return model_edit(call.body, route.asked_model or "", model) if call.asked.model == route.asked_model else None
    place = _form_place(call.body) if route.asked_model is None else None
    return None if place is None else (*place, model.encode())


def _length(caller: Caller, before: bytes, after: bytes) -> bytes:
    """Return the length of a body whose held part was edited; the rest of it may still be on its way."""
    if caller.length is None:
        return b"%d" % len(after)
    return caller.length if after is before else b"%d" % (int(caller.length) + len(after) - len(before))


def _with_browser_key(head: RequestHead, credential: Credential) -> RequestHead:
    """Return the head with the key that counts at the upstream among a browser's WebSocket subprotocols, if one counts there.

    Ours is replaced by the upstream's own, or taken out; one that the caller brought goes on only where the caller's own credentials do.
    """
    callers = credential.value is None and credential.replaces is None and not credential.alone
    instead = None
    if credential.value is not None and credential.replaces == b"sec-websocket-protocol":
        instead = BROWSER_KEY + credential.value.encode()
    passing = []
    for kind, name, value in head.passing:
        if name.lower() != b"sec-websocket-protocol":
            passing.append((kind, name, value))
            continue
        tokens = [token.strip() for token in value.split(b",")]
        kept = [there for token in tokens if (there := _browser_token(token, instead, callers=callers)) is not None]
        if kept:
            passing.append((kind, name, value if kept == tokens else b", ".join(kept)))
    return replace(head, passing=passing, outgoing={}, plans={})


def _browser_token(token: bytes, instead: bytes | None, *, callers: bool) -> bytes | None:
    """Return what stands upstream in the place of one subprotocol; None where nothing does."""
    if not token.startswith(BROWSER_KEY):
        return token
    if token.startswith(BROWSER_KEY + _OURS):
        return instead
    return token if callers else None


def _changes(call: Admitted, *, renamed: bool) -> tuple[str, ...]:
    changes = []
    if renamed:
        changes.append("model")
    if call.ask_usage:
        changes.append("stream_options")
    if call.asked.labels is not UNSET:
        changes.append("faregate")
    return tuple(changes)
