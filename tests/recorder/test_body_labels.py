import pytest

from recorder.body_labels import labels_of


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        ({}, {}),
        ({"user": "u1"}, {"user": "u1"}),
        ({"user": "u1", "safety_identifier": "s1"}, {"user": "s1"}),
        ({"user": ""}, {}),
        ({"metadata": {"team": "search", "n": 3, "on": True, "x": 0.5, "deep": {}}}, {"tag.team": "search", "tag.n": "3", "tag.on": "true", "tag.x": "0.5"}),
        ({"metadata": {"user_id": "u2", "session_id": "s2"}, "user": "u1"}, {"user": "u1", "session": "s2"}),
        ({"metadata": "odd"}, {}),
        ({"metadata": {"tags": ["team:search", "fast", 3]}}, {"tag.team": "search", "tag.fast": "true"}),
        ({"litellm_session_id": "s3", "litellm_trace_id": "t3", "litellm_metadata": {"tags": ["a"], "user": "u3"}}, {"session": "s3", "trace": "t3", "tag.a": "true", "user": "u3"}),
        ({"session_id": "s4", "trace": {"trace_id": "t4", "span_name": "x"}}, {"session": "s4", "trace": "t4", "tag.trace.span_name": "x"}),
        ({"prompt_cache_key": "k"}, {"tag.prompt_cache_key": "k"}),
        ({"faregate": {"session": "s5", "section": "a/b", "tags": {"t": "v"}}, "session_id": "s4"}, {"session": "s5", "section": "a/b", "tag.t": "v"}),
    ],
)  # fmt: skip
def test_labels_are_found_in_the_body(body, labels):
    assert labels_of(body) == labels


def test_long_values_and_many_labels_are_cut():
    labels = labels_of({"metadata": {f"n{n}" * 40: "v" * 1_000 for n in range(100)}})

    assert len(labels) == 40
    assert all(len(value) == 256 and len(name) <= 68 for name, value in labels.items())
