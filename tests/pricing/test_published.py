"""The file by which the gate knows the prices in force."""

import json

import pytest

from pricing.override_documents import override_of
from pricing.published import published_book, published_text, snapshot_named
from pricing.snapshot import PACKAGED

OWN = override_of(
    {
        "match": {"model": "mine"},
        "per_million_usd": {"input": "75"},
        "times": "0.5",
        "tiers": {"batch": {"per_million_usd": {"input": "1"}}},
    },
    price_id="own",
    origin="database",
)


def test_what_is_published_is_read_back_whole(tmp_path):
    (tmp_path / "prices.json").write_bytes(published_text(None, [OWN]))
    book = published_book(tmp_path)
    assert book.overrides == (OWN,)
    assert book.card(upstream="vllm", model="mine", at=10**18).rates["input"].base == 75 * 10**18


def test_before_anything_is_published_the_packaged_prices_count(tmp_path):
    book = published_book(tmp_path)
    assert book.overrides == ()
    assert book.card(upstream="openai", model="gpt-4o", at=1_793_491_200 * 10**9) is not None


def test_the_same_prices_are_the_same_bytes():
    assert published_text(None, [OWN]) == published_text(None, [OWN])
    assert published_text("a" * 64, [OWN]) != published_text(None, [OWN])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"snapshot": null, "overrides": [{"x": 1}]}',
        '{"snapshot": "../..", "overrides": []}',
        '{"snapshot": 5, "overrides": []}',
    ],
)
def test_a_file_that_is_not_ours_is_an_error_that_says_what_to_do(tmp_path, text):
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(ValueError, match=r"\w"):
        published_book(tmp_path)


def test_a_snapshot_is_read_from_its_own_folder_only(tmp_path):
    name = "b" * 64
    folder = tmp_path / "prices" / name
    folder.mkdir(parents=True)
    for path in PACKAGED.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    snapshot = snapshot_named(tmp_path, name)
    assert snapshot.models("openai")
    index = json.loads((folder / "providers.json").read_bytes())
    index["providers"][0]["id"] = "../../etc/passwd"
    (folder / "providers.json").write_text(json.dumps(index))
    with pytest.raises(OSError, match="passwd"):
        snapshot_named(tmp_path, name).models("../../etc/passwd")
