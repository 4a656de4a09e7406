import json

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from config.destinations import DestinationsField
from destinations.langfuse import LangfuseConfig
from destinations.otlp import OtlpConfig

KEY = "sk-lf-" + "canary"


class Holder(BaseModel):
    """Settings with destinations in them, as the real ones have them."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)
    destinations: DestinationsField = {}


def read(**destinations):
    return Holder.model_validate({"destinations": destinations}).destinations


def problems(**destinations):
    """Return what is wrong, by place."""
    with pytest.raises(ValidationError) as caught:
        read(**destinations)
    return {".".join(map(str, one["loc"])): str(one["ctx"]["error"]) for one in caught.value.errors() if "ctx" in one}


def test_each_table_is_of_its_kind():
    found = read(
        mine={"type": "otlp", "url": "https://c.test", "flush": "250ms"},
        lf={"type": "langfuse", "public_key": "pk", "secret_key": KEY, "retry_for": "2d", "content": "none", "redact": []},
    )
    assert isinstance(found["mine"], OtlpConfig)
    assert found["mine"].flush == 0.25
    assert isinstance(found["lf"], LangfuseConfig)
    assert (found["lf"].retry_for, found["lf"].content, found["lf"].redact) == (172_800.0, "none", ())


def test_what_is_written_is_read_again_without_its_secrets():
    held = Holder(destinations=read(lf={"type": "langfuse", "public_key": "pk", "secret_key": KEY, "retry_for": "36h"}))
    text = held.model_dump_json()
    assert KEY not in text
    assert KEY not in repr(held)
    told = json.loads(text)["destinations"]["lf"]
    assert told["retry_for"] == "36h"
    assert told["url"] == "https://cloud.langfuse.com"
    assert Holder.model_validate(held).destinations == held.destinations


def test_editors_are_told_that_a_table_has_a_type_and_more():
    (table,) = Holder.model_json_schema()["properties"]["destinations"]["patternProperties"].values()
    assert (table["required"], table["additionalProperties"]) == (["type"], True)


@pytest.mark.parametrize(
    ("table", "place", "message"),
    [
        (3, "x", "this is a table"),
        ({}, "x", 'type = "otlp"'),
        ({"type": 7}, "x", 'type = "otlp"'),
        ({"type": "langfus"}, "x", "did you mean langfuse?"),
        ({"type": "otlp"}, "x.url", "it must be set"),
        ({"type": "otlp", "url": "http://c.test"}, "x.url", "allow_private"),
        ({"type": "otlp", "url": "https://c.test", "header": {}}, "x.header", "did you mean headers?"),
        ({"type": "otlp", "url": "https://c.test", "qqqq": 1}, "x.qqqq", "there are "),
        ({"type": "otlp", "url": "https://c.test", "flush": "soon"}, "x.flush", "write a duration"),
        ({"type": "otlp", "url": "https://c.test", "content": "some"}, "x.content", "'full', 'redacted' or 'none'"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(table, place, message):
    found = problems(x=table)
    assert message in found[f"destinations.{place}"]


def test_errors_hold_no_secret():
    with pytest.raises(ValidationError) as caught:
        read(x={"type": "langfuse", "secret_key": [KEY], "public_kee": KEY, "url": f"https://{KEY}@c.test"})
    assert KEY not in f"{caught.value} {caught.value.errors()}"


@pytest.mark.parametrize("name", ["", "Prod", "a b", "-x", "x" * 64, "x.y"])
def test_a_name_is_short_and_plain(name):
    with pytest.raises(ValidationError):
        read(**{name: {"type": "otlp", "url": "https://c.test"}})
