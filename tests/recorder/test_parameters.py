"""The settings of a request that are kept beside a call, whatever dialect it speaks."""

import pytest

from recorder.parameters import LONGEST_TEXT, MOST_STOPS, parameters_of


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ({"temperature": 0.2, "max_tokens": 256, "n": 2}, {"temperature": 0.2, "max_tokens": 256, "choice.count": 2}),
        ({"max_tokens": 1, "max_completion_tokens": 2}, {"max_tokens": 2}),
        ({"generationConfig": {"topP": 0.5, "maxOutputTokens": 9, "stopSequences": ["x"]}},
         {"top_p": 0.5, "max_tokens": 9, "stop_sequences": ["x"]}),
        ({"reasoning": {"effort": "low"}, "previous_response_id": "resp_1"},
         {"reasoning.level": "low", "previous_response.id": "resp_1"}),
        ({"reasoning_effort": "high", "stop": "END"}, {"reasoning.level": "high", "stop_sequences": ["END"]}),
        ({"temperature": True, "max_tokens": 1.5, "seed": "7", "stop": [1], "reasoning": 3}, {"stop_sequences": []}),
        ([1], {}),
        (None, {}),
    ],
)  # fmt: skip
def test_the_known_settings_are_found_by_the_conventions_names(request_, found):
    assert parameters_of(request_) == found


def test_texts_and_lists_are_bounded():
    found = parameters_of({"stop": ["x" * 1_000] * 100, "previous_response_id": "y" * 1_000})
    assert [len(stop) for stop in found["stop_sequences"]] == [LONGEST_TEXT] * MOST_STOPS
    assert len(found["previous_response.id"]) == LONGEST_TEXT
