import tomllib

from hypothesis import given
from hypothesis import strategies as st

from config.document import lines_in

TEXT = '''# a comment
top = 1

[server]
host = "a"   # with a comment
list = [
  "x",
  "y",
]
text = """
[not.a.table]
port = 1
"""
inline = { a = 1, b = { c = 2 } }
dotted.name = 3

[[budgets]]
scope = "all"
[[budgets]]
scope = "key:ci"
[upstreams."with.dot"]
x = 1
'''


def test_each_setting_has_the_line_on_which_it_begins():
    lines = lines_in(TEXT)
    assert {name: lines[name] for name in ("top", "server", "server.host", "server.list", "server.text")} == {
        "top": 2,
        "server": 4,
        "server.host": 5,
        "server.list": 6,
        "server.text": 10,
    }
    assert (lines["server.inline.a"], lines["server.inline.b.c"], lines["server.dotted.name"]) == (14, 14, 15)
    assert (lines["budgets"], lines["budgets.scope"]) == (17, 18)
    assert "not.a.table" not in lines


@given(st.text(max_size=200))
def test_no_text_hinders_the_lines(text):
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert all(line >= 1 for line in lines_in(text).values())


def test_each_table_of_a_list_has_a_line_of_its_own():
    text = '[server]\nport = 1\n[[budgets]]\nscope = "all"\n\n[[budgets]]\nscope = "key:ci"\n'
    assert lines_in(text) == {
        "server": 1,
        "server.port": 2,
        "budgets": 3,
        "budgets.scope": 4,
        "budgets.0": 3,
        "budgets.0.scope": 4,
        "budgets.1": 6,
        "budgets.1.scope": 7,
    }
