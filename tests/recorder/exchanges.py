"""Exchanges for tests; only what matters in a test is spelled out there."""

from dataclasses import replace
from random import Random

from domain.exchange import Attempt, Closing, Exchange, Labels, Opening
from domain.ids import new_id

AT = 1_767_225_600_000_000_000


def opening(index=0, **changes):
    return replace(
        Opening(
            id=new_id(AT + index * 1_000_000, Random(index)),
            at=AT + index * 1_000_000,
            method="POST",
            path="/v1/chat/completions",
            upstream="openai",
            dialect="openai",
            key="k1",
            key_name="ci",
            project="default",
            labels=Labels(),
        ),
        **changes,
    )


def closing(**changes):
    return replace(
        Closing(
            at=AT + 1_500_000_000,
            ending="complete",
            status=200,
            request_headers=(("content-type", "application/json"),),
            response_headers=(("content-type", "application/json"),),
            attempts=(Attempt("openai", "1", AT, 200, 400_000),),
            request_bytes=20,
            response_bytes=20,
            sent_us=900,
            first_byte_us=400_000,
            overhead_us=350,
        ),
        **changes,
    )


def exchange(index=0, request=b'{"model":"gpt-4o"}', response=b'{"id":"x"}', end=None, **changes):
    return Exchange(opening(index, **changes), closing() if end is None else end, request, response)
