"""The shipped tokenizers are the published ones, and nothing else is taken for them."""

import hashlib
import inspect
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiktoken_ext import openai_public

from pricing.tokens.encodings import IDLE_SECONDS, PATTERNS, Encodings
from pricing.tokens.ranks import FOLDER, RANKS, RanksDamaged, packed, published, ranks_of, unpacked

ROOT = Path(__file__).parents[3]


def parts_that_tiktoken_has(monkeypatch, name):
    """Return what tiktoken itself would build the encoding of, its ranks (which it would download) left out."""
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_args, **_options: {})
    return getattr(openai_public, name)()


@pytest.mark.parametrize("name", RANKS)
def test_the_shipped_ranks_are_the_published_file_to_the_byte(name):
    ranks = ranks_of(name)
    assert hashlib.sha256(published(ranks)).hexdigest() == RANKS[name].published
    assert len(ranks) == RANKS[name].tokens


@pytest.mark.parametrize("name", RANKS)
def test_the_published_hash_is_the_one_that_tiktoken_expects(name):
    source = inspect.getsource(getattr(openai_public, name))
    assert re.search(r'expected_hash="(\w+)"', source)[1] == RANKS[name].published


@pytest.mark.parametrize("name", RANKS)
def test_texts_are_split_as_tiktoken_splits_them(name, monkeypatch):
    assert PATTERNS[name] == parts_that_tiktoken_has(monkeypatch, name)["pat_str"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: lzma.compress(lzma.decompress(content)[:-1] + b"?"),
        lambda content: lzma.compress(lzma.decompress(content)[:1000]),
        lambda content: content[:5000],
        lambda _content: b"no archive at all",
        lambda _content: b"",
    ],
    ids=["one byte", "shortened", "archive cut", "no archive", "empty"],
)
def test_ranks_that_are_not_what_was_shipped_are_refused(tmp_path, damage):
    path = tmp_path / "cl100k_base.ranks.xz"
    path.write_bytes(damage((FOLDER / path.name).read_bytes()))
    with pytest.raises(RanksDamaged, match=r"cl100k_base\.ranks\.xz is not the file that was shipped.*Install Faregate again"):
        Encodings(tmp_path).encoding("cl100k_base")


def test_missing_ranks_are_refused(tmp_path):
    with pytest.raises(RanksDamaged):
        ranks_of("o200k_base", tmp_path)


def test_one_encodings_ranks_are_not_taken_for_anothers(tmp_path):
    shutil.copy(FOLDER / "cl100k_base.ranks.xz", tmp_path / "o200k_base.ranks.xz")
    with pytest.raises(RanksDamaged):
        ranks_of("o200k_base", tmp_path)


def test_packing_and_unpacking_give_the_same_ranks():
    content = b"IQ== 0\nIg== 1\nZXJlcg== 2\n"
    ranks = unpacked(packed(content))
    assert ranks == {b"!": 0, b'"': 1, b"erer": 2}
    assert published(ranks) == content


@pytest.mark.parametrize("content", [b"IQ== 0\nIg== 2\n", b"Ig== 1\n"])
def test_ranks_with_a_gap_cannot_be_packed(content):
    with pytest.raises(ValueError, match="count up from 0"):
        packed(content)


def test_a_tokenizer_is_loaded_once_and_dropped_when_nobody_used_it_for_a_while():
    clock = [0.0]
    encodings = Encodings(now=lambda: clock[0])
    assert encodings.loaded == ()
    first = encodings.encoding("cl100k_base")
    clock[0] = IDLE_SECONDS
    assert encodings.encoding("cl100k_base") is first
    clock[0] += IDLE_SECONDS
    encodings.drop_unused()
    assert encodings.loaded == ("cl100k_base",)
    clock[0] += 1
    encodings.drop_unused()
    assert encodings.loaded == ()


OFFLINE = """
import socket, sys
def refused(*arguments, **options):
    raise AssertionError("the network was asked")
socket.socket = socket.create_connection = socket.getaddrinfo = refused
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from tiktoken import registry
print(TokenCounter(Encodings()).input({"input": "hello world"}, "gpt-4o").tokens)
print(sorted({"requests", "urllib3"} & sys.modules.keys()), registry.ENCODINGS, registry.ENCODING_CONSTRUCTORS)
"""


def test_counting_asks_no_network_and_registers_nothing(tmp_path):
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-P", "-c", OFFLINE], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["9", "[] {} None"]
    assert list(tmp_path.iterdir()) == []
