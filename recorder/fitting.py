"""What may be kept of a call, or go to one destination: its span and content, redacted.

Nothing that was given is changed, and fitting what was fitted changes nothing more.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from domain.calls import CallError, ToolCall
from domain.deliveries import ContentMode
from domain.exchange import Headers, Labels
from domain.spans import Content, Span
from recorder.looking_through import LONGEST_RAW, texts_in, texts_of
from recorder.profiles import STANDARD, STRICT, Redaction, kinds_of
from recorder.redaction import DEEPEST, MEDIA, Redactor, is_card_number, redactor
from recorder.withholding import without_content, without_names

NOTE = "redacted: "
_BETWEEN = "\0"
_CONTAINERS = frozenset({dict, list, tuple})
_SMALLEST_CARD = 10**12
_WHO = ("user", "customer")
_LABELS = ("session", "run", "section", "prompt")
_NO_LABELS = Labels()


def fitted(  # noqa: PLR0913 - the call, and what is to become of it
    span: Span,
    content: Content | None,
    *,
    mode: ContentMode,
    profile: Sequence[str],
    key: bytes = b"",
    policy: Redaction = STANDARD,
    labels: bool = True,
) -> tuple[Span, Content | None]:
    """Return `span` and `content` as a destination may have them.

    `mode` is the destination's. With "none" there is no content, and no text of it (see `recorder.withholding`). With "redacted" it is without
    every kind of thing that `policy` names, and bodies are what they meant, written anew. With "full" it is without the kinds that `profile`
    names, and as it passed where nothing of them was found. `key` is for hashes: without one there are masks instead. What is found in labels is hashed, so that calls that belong
    together still do; without `labels` they stay as they are, unless all is strict.

    Raises:
        CannotRedact: somebody who was to look it through could not; nothing of it may be kept or sent.

    """
    strict = _is_strict(mode, profile, policy)
    if mode == "full" and not profile:
        return span, content
    redacting = _redactor(mode, profile, key, policy)
    if mode == "none":
        span, content = without_content(span), None
    redacting = _asked(redacting, policy, lambda: texts_of(span, content, labels=labels or strict))
    if not _has_any(span, content, redacting):
        if mode == "full" and not strict:
            return span, content
        redacting = redactor(frozenset(), own=policy.more)
    counts: Counter[str] = Counter()
    said = _labels(span.labels, redacting, key, counts, strict=strict) if labels or strict else span.labels
    names = _names(span.labels, redacting, key) if strict else {}
    if mode == "none":
        fit = _texts_redacted(replace(span, labels=said), redacting, counts, names)
        return replace(fit, notes=_noted(span, redacting, counts, always=False)), None
    masked = None if content is None else _content(content, redacting, counts, anew=mode == "redacted" or strict)
    tools = tuple(ToolCall(tool.id, tool.name, redacting.text(tool.arguments, counts)) for tool in span.tool_calls)
    fit = _texts_redacted(replace(span, tool_calls=tools, labels=said), redacting, counts, names)
    state = span.content if content is None else "redacted" if counts or mode == "redacted" or strict else span.content
    return replace(fit, content=state, notes=_noted(span, redacting, counts, always=mode == "redacted")), masked


def fitted_extra(  # noqa: PLR0913 - as `fitted`
    extra: Mapping[str, Any],
    *,
    mode: ContentMode,
    profile: Sequence[str],
    key: bytes = b"",
    policy: Redaction = STANDARD,
    labels: Labels = _NO_LABELS,
) -> dict[str, Any]:
    """Return fields that rules set as a destination may have them: they are made of labels mostly, so what is found is hashed as it is there.

    `labels` are the call's own. Where all is strict, who called is not in the fields either.

    Raises:
        CannotRedact: as `fitted`.

    """
    if not extra or (mode == "full" and not profile):
        return dict(extra)
    redacting = _asked(_redactor(mode, profile, key, policy), policy, lambda: texts_in(dict(extra)))
    names = _names(labels, redacting, key) if _is_strict(mode, profile, policy) else {}
    fit: dict[str, Any] = _joinable(redacting, key).value(without_names(dict(extra), names), Counter())
    return fit


def _is_strict(mode: ContentMode, profile: Sequence[str], policy: Redaction) -> bool:
    return STRICT in profile or (mode != "full" and STRICT in policy.kinds)


def _names(labels: Labels, redacting: Redactor, key: bytes) -> dict[str, str]:
    """Return who called, each with the hash that stands for it."""
    joinable = _joinable(redacting, key)
    return {said: joinable.whole(said, name) for name in _WHO if (said := getattr(labels, name))}


def _redactor(mode: ContentMode, profile: Sequence[str], key: bytes, policy: Redaction) -> Redactor:
    names = profile if mode == "full" else (*profile, *policy.kinds)
    wanted = kinds_of(names, policy.groups())
    return redactor(wanted, tuple(sorted(policy.actions.items())), key, policy.regions, policy.more)


def _asked(redacting: Redactor, policy: Redaction, texts: Callable[[], Iterable[str]]) -> Redactor:
    """Return `redacting` with what somebody outside found in the texts, where something is to be found that only he does."""
    if policy.outside is None or redacting.kinds.isdisjoint(policy.outside.names):
        return redacting
    return redacting.knowing(policy.outside.places(texts()))


def _joinable(redacting: Redactor, key: bytes) -> Redactor:
    """Return one that finds the same, and hashes it: what belongs together still does."""
    hashed = tuple((kind, "hash") for kind in sorted(redacting.kinds))
    joinable = redactor(redacting.kinds, hashed, key, redacting.regions, redacting.own)
    return joinable.knowing(redacting.known) if redacting.known else joinable


def _noted(span: Span, redacting: Redactor, counts: Counter[str], *, always: bool) -> tuple[str, ...]:
    """Return the notes with one on what was redacted; that nothing was found is said once, and only where all was looked for."""
    if counts or (always and not any(note.startswith(NOTE) for note in span.notes)):
        return (*span.notes, redacting.summary(counts))
    return span.notes


def _texts_redacted(span: Span, redacting: Redactor, counts: Counter[str], names: Mapping[str, str]) -> Span:
    """Return `span` with the texts redacted that come from outside: all but its tools and labels. Reasons may repeat `names`."""
    return replace(
        span,
        path=redacting.text(span.path, counts),
        error=_error(span.error, redacting, counts),
        attempts=tuple(one if not one.error else replace(one, error=redacting.text(one.error, counts)) for one in span.attempts),
        params=redacting.value(dict(span.params), counts),
        decisions=tuple(replace(one, why=redacting.text(without_names(one.why, names), counts)) for one in span.decisions),
    )


def _error(error: CallError | None, redacting: Redactor, counts: Counter[str]) -> CallError | None:
    return None if error is None else replace(error, message=redacting.text(error.message, counts))


def _labels(labels: Labels, redacting: Redactor, key: bytes, counts: Counter[str], *, strict: bool) -> Labels:
    """Return labels with what was recognised in them hashed, so that calls that belong together still do."""
    joinable = _joinable(redacting, key)
    said = {name: getattr(labels, name) for name in (*_LABELS, *_WHO)}
    changed: dict[str, Any] = {name: joinable.text(text, counts) for name, text in said.items() if text}
    if strict:
        names = _names(labels, redacting, key)
        changed |= {name: names[said[name]] for name in _WHO if said[name]}
    return replace(labels, **changed, tags=joinable.value(dict(labels.tags), counts))


def _content(content: Content, redacting: Redactor, counts: Counter[str], *, anew: bool) -> Content:
    given, answered = Counter[str](), Counter[str]()
    asked = redacting.value(content.input, given)
    answer = redacting.value(content.output, answered)
    counts.update(given + answered)
    return Content(
        request_headers=_headers(content.request_headers, redacting, counts),
        response_headers=_headers(content.response_headers, redacting, counts),
        request=_body(content.request, asked, redacting, counts, anew=anew or bool(given)),
        response=_body(content.response, answer, redacting, counts, anew=anew or bool(answered)),
        input=asked if anew or given else content.input,
        output=answer if anew or answered else content.output,
        marks=content.marks,
    )


def _headers(headers: Headers, redacting: Redactor, counts: Counter[str]) -> Headers:
    return tuple((name, redacting.text(value, counts)) for name, value in headers)


def _body(body: bytes, value: Any, redacting: Redactor, counts: Counter[str], *, anew: bool) -> bytes:
    """Return what may be had of a body.

    That is the redacted JSON of what it meant, since in the bytes of a stream a number may be spread over many events. A body that
    could not be read is left only where it is short, and with `anew` only where it is plain text.
    """
    if value is not None:
        return _json(value) if anew else body
    is_stream = b"\ndata:" in body or body.startswith(b"data:")
    if len(body) > LONGEST_RAW or (anew and is_stream):
        return b""
    try:
        return redacting.text(body.decode(), counts).encode()
    except UnicodeDecodeError:
        # Each byte is a letter in Latin-1: what is ASCII in it can be found, and the rest comes back as it was.
        return b"" if anew else redacting.text(body.decode("latin-1"), counts).encode("latin-1")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _has_any(span: Span, content: Content | None, redacting: Redactor) -> bool:
    """Return whether there is anything to redact: one look at all short texts together is a tenth of the work of one look at each."""
    short = list(_span_texts(span))
    long: list[str] = []
    values = [dict(span.params), dict(span.labels.tags)]
    if content is not None:
        values += [content.input, content.output]
        short += [value for _, value in content.request_headers]
        short += [value for _, value in content.response_headers]
        long += _unread(content)
    return (
        bool(redacting.known)
        or _collect(values, short, long, redacting)
        or redacting.finds(_BETWEEN.join(short))
        or any(redacting.finds(text) for text in long)
    )


def _span_texts(span: Span) -> Iterator[str]:
    yield span.path
    if span.error is not None:
        yield span.error.message
    yield from (tool.arguments for tool in span.tool_calls)
    yield from (one.error for one in span.attempts if one.error)
    yield from (one.why for one in span.decisions)
    labels = span.labels
    yield from (
        text for text in (labels.session, labels.run, labels.section, labels.prompt, labels.user, labels.customer) if text
    )


def _unread(content: Content) -> Iterator[str]:
    """Yield the bodies that could not be read, as texts."""
    for body, value in ((content.request, content.input), (content.response, content.output)):
        if value is None and body:
            yield body[:LONGEST_RAW].decode("latin-1")
            yield body[:LONGEST_RAW].decode("utf-8", "replace")


def _collect(values: list[Any], short: list[str], long: list[str], redacting: Redactor) -> bool:
    """Add the texts of JSON values to `short` and `long`; return whether something is in them that need not be looked for in a text.

    Level by level, since values may be nested deeply; what is too deep is such a thing, too.
    """
    secrets, cards = "secret" in redacting.kinds, "card" in redacting.kinds
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for one in level:
            if type(one) is dict:
                short += one
                if secrets and any(redacting.is_secret(name, member) for name, member in one.items()):
                    return True
                one = one.values()  # noqa: PLW2901 - the members, as those of a list
            for member in one:
                kind = type(member)
                if kind is str:
                    (short if len(member) < MEDIA else long).append(member)
                elif kind in _CONTAINERS:
                    below.append(member)
                elif kind is int and member > _SMALLEST_CARD and cards and is_card_number(member):
                    return True
        if not below:
            return False
        level = below
    return True
