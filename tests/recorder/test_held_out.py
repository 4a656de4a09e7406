"""How good the recognisers are on texts that were not looked at when they were written.

`held_out.txt` was written after the rules were frozen: chats in several languages, logs, JSON and code, with many things that only look
like something. `<<kind|text>>` says what is to be found, `⏎` is a line break, and `¦` keeps secret scanners from taking a line for a real key.
The valid numbers in it were made by `python-stdnum`, not by our own checksums. Do not tune the rules on it: write new lines, and keep these.
"""

import re
from collections import Counter
from pathlib import Path

from recorder.profiles import KINDS, NATIONAL_IDS, SECRETS, kinds_of
from recorder.redaction import redactor

ALL = redactor(kinds_of(["gdpr"]))
FILE = Path(__file__).parent / "held_out.txt"
MARK = re.compile(r"<<([a-z_]+)\|(.*?)>>(?!>>)", re.DOTALL)
CHECKED = frozenset({*SECRETS, *NATIONAL_IDS, "card", "iban"})


def expected(line):
    """Return a line without its marks, and what is to be found in it."""
    text, places, last = "", [], 0
    for mark in MARK.finditer(line):
        text += line[last : mark.start()]
        places.append((len(text), len(text) + len(mark[2]), mark[1]))
        text += mark[2]
        last = mark.end()
    return text + line[last:], places


def lines():
    for line in FILE.read_text("utf-8").splitlines():
        if line and not line.startswith("# "):
            yield expected(line.replace("¦", "").replace("⏎", "\n"))


def compared():
    """Return how many were found, wrongly found and missed, by kind: the same kind at a place that overlaps counts as found."""
    found, wrong, missed, told = Counter(), Counter(), Counter(), []
    for text, places in lines():
        said = ALL.places(text)
        for begin, end, kind in places:
            hit = any(one[2] == kind and one[0] < end and begin < one[1] for one in said)
            (found if hit else missed)[kind] += 1
            if not hit:
                told.append(f"missed {kind}: {text}")
        for begin, end, kind in said:
            if not any(one[2] == kind and one[0] < end and begin < one[1] for one in places):
                wrong[kind] += 1
                told.append(f"wrong {kind}: {text}")
    return found, wrong, missed, told


def share(part, whole):
    return part / whole if whole else 1.0


def test_the_set_is_large_has_every_kind_and_many_lines_with_nothing_in_them():
    every = list(lines())
    assert len(every) >= 300
    assert {kind for _, places in every for _, _, kind in places} == set(KINDS)
    assert sum(not places for _, places in every) >= 120


def test_precision_and_recall_on_the_held_out_set():
    found, wrong, missed, told = compared()
    report = []
    for kind in KINDS:
        precision, recall = share(found[kind], found[kind] + wrong[kind]), share(found[kind], found[kind] + missed[kind])
        figures = f"{found[kind]:4} found {wrong[kind]:3} wrong {missed[kind]:3} missed"
        report.append(f"{kind:20} {figures}  P {precision:.3f}  R {recall:.3f}")
    precision = share(found.total(), found.total() + wrong.total())
    recall = share(found.total(), found.total() + missed.total())
    hits = sum(found[kind] for kind in CHECKED)
    checked = share(hits, hits + sum(missed[kind] for kind in CHECKED))
    phones = share(found["phone"], found["phone"] + missed["phone"])
    report.append(f"all: P {precision:.3f}  R {recall:.3f}; checksums and secrets: R {checked:.3f}; phones: R {phones:.3f}")
    print("\n".join(["", *report, *told]))  # noqa: T201 - the figures are for whoever runs this with -s
    assert precision >= 0.95, told
    assert checked >= 0.95, told
    assert phones >= 0.85, told
