"""The page of rules: the language with its variables, from the tables that the code uses, and the cookbook."""

from collections.abc import Iterator

from docs._recipes import RECIPES
from domain.events import EVENT_TYPES
from routing.checks import FUNCTIONS, MOST_IN_LOOPS, MOST_PATTERNS, MOST_SUMS, MOST_TOKENS
from routing.expressions import LONGEST, LONGEST_VALUE
from routing.extras import LONGEST_TEXT, MOST_MEMBERS
from routing.patterns import MOST_REPETITIONS
from routing.routes import ROUTE_VARIABLES
from routing.rule_checks import MOST_FIELDS, MOST_RULES
from routing.variables import EVENT_VARIABLES, VARIABLES

_START = """# Rules

A rule says who hears of a call, and with what. Every rule that matches counts.

```toml
[[rules]]
name = "failures and dear calls"
when = 'outcome != "ok" || cost_usd > 0.05'
send_to = ["langsmith"]

[[rules]]
name = "a taste of the rest"
send_to = ["langfuse"]
sample = 0.01                  # by session, so that a session is whole or absent
otherwise = "bucket"           # where to go when Langfuse stays down
```

[All settings of a rule](configuration.md#rules) are on the page of settings. Which upstream serves a call is said by [routes](routes.md), in the same language.

## How rules are read

- **Without any rule about calls, every call goes to every destination**, but for channels for people (Slack, e-mail, PagerDuty), which get calls only where a
  rule says so. That is a rule that goes without saying, named `everything`. With the first one of your own it is gone, also where that one is switched off by
  `enabled = false`.
- **Every rule that matches counts**, and a destination gets a call once, however many rules name it. Of each of `content`, `redact` and `otherwise`, the
  first matching rule counts that says something of it and names the destination, or names no destination at all and so means all of them. What no rule says
  is as in the destination's own settings. Fields that rules `set` are put together; of one name, the first one stays.
- **`drop` wins.** Nobody hears of a call that a rule drops, whatever other rules say, in whatever order. It is recorded and counted all the same.
- **What cannot be evaluated does not match**: an unknown cost, a tag that is not there. `!(cost_usd > 1.0)` does not match an unknown cost either. Every
  rule's decision about a call is kept on the call, with the reason: `faregate call ID`, or `rules` in its JSON.
- **A sample** takes whole sessions, by `sample_by` whole traces or single calls. Whether a session is in it follows from its name and the rule's, so it is the same in
  every office and at every time; a sample of 0.2 holds all of what one of 0.1 held. Rules of different names sample independently. So give rules a name: one
  without is called by its number, which changes when rules are moved. A call without a session counts by its trace.
- **`always`** names calls that are sent beside a sample, each for itself.
- **`split`** sends each session to one of several destinations, by weight. It may stand beside `send_to`.
- **`set`** adds fields, each a value in CEL: a text, a number, true or false, a list of these, or a map of these by texts. At most {fields} fields a rule;
  texts are cut at {text:,} characters, lists and maps at {members}. A field without a value (an unknown cost) is left out, and the decision says so.
- **`events`** makes it a rule about what happens to the gateway itself, for webhooks and channels: {events}. `*` stands for anything. Without any
  such rule, every event goes to every destination that takes events: webhooks and channels.
- There can be {rules} rules. What is wrong with one is said when settings are read, all of it at once, with the line and the nearest name.

## Try them first

    faregate rules check                       # is everything right? 2 where it is not
    faregate rules test new.toml --last 5000   # what would match, who would get more and less
    faregate rules test new.toml --explain ID  # every rule's decision about one call, and the values it looked at
    faregate rules list                        # what is in force

`test` tries the rules of a file, and its routes, on recorded calls, beside the rules in force: for each rule how many calls it matches, what they cost, and why
it does not match the others; for each destination how many calls it gains and loses, and the change in bytes (before compression); for routes, which calls
would go elsewhere, and the change of cost. A file that says nothing of rules, or nothing of routes, leaves those in force as they are; `rules = []` tries it without any.
Nothing is sent and nothing is changed. `POST /api/v1/rules/test` does the same; `GET /api/v1/rules` lists. Of
a recorded call it is not known whether the app itself named the upstream, so routes are tried as if it had not.

## The language

Expressions are [CEL](https://cel.dev), in rules, routes, `--where`, the search of the dashboard, and exports alike.

- Compare with `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`; combine with `&&`, `||`, `!`, and `condition ? one : other`; reckon with `+`, `-`, `*`, `/`, `%`.
- A number with a point and one without do not mix in sums and products: write `cost_usd * 100.0`. Comparing them is fine.
- A value that is not known is `null`. It can be compared by `==` and `!=`; anything else asked of it cannot be evaluated.
- `tags.team` is a tag; `tags["odd name"]` one whose name is no word; `has(tags.team)` asks whether it is there, and so does `"team" in tags`.
- Functions: {functions}.
- Loops over tags or a list: `all`, `exists`, `exists_one`, `map`, `filter`, such as `tags.exists(name, name.startsWith("exp-"))`.
- `matches` takes a regular expression (RE2; `\\w`, `\\d`, `\\s` and `\\b` are those of ASCII), written out in quotes. In a TOML text between `'`, a backslash
  of a pattern is written twice.

### Bounds

An expression is checked when it is written, and what it may cost on a single call is bounded, whatever stands in that call: {characters:,} characters and {tokens} names,
signs and values ({looped} beside a loop); one loop; {sums} `+`; {patterns} `matches`, whose patterns repeat something at most {repetitions} times, and not
in each other without end. Texts of a call are cut at {value:,} characters before they are looked at.

## Variables

*Before* are those that are known before a call is sent: routes have these. *After* are those of the finished call: rules, `--where`, search, exports.

| variable | type | before | after | means |
| --- | --- | --- | --- | --- |
"""
_EVENTS = """
Rules about events have these instead:

| variable | type | means |
| --- | --- | --- |
"""
_COOKBOOK = "\n## Cookbook\n"


def rules_page() -> str:
    """Return the whole page."""
    start = _START.format(
        fields=MOST_FIELDS,
        text=LONGEST_TEXT,
        members=MOST_MEMBERS,
        rules=MOST_RULES,
        events=", ".join(f"`{one}`" for one in EVENT_TYPES),
        functions=", ".join(f"`{one}`" for one in sorted(FUNCTIONS)),
        characters=LONGEST,
        tokens=MOST_TOKENS,
        looped=MOST_IN_LOOPS,
        sums=MOST_SUMS,
        patterns=MOST_PATTERNS,
        repetitions=MOST_REPETITIONS,
        value=LONGEST_VALUE,
    )
    return start + "".join(_variables()) + _EVENTS + "".join(_event_variables()) + _COOKBOOK + "".join(_recipes())


def _variables() -> Iterator[str]:
    for name in dict.fromkeys((*VARIABLES, *ROUTE_VARIABLES)):
        before, after = ROUTE_VARIABLES.get(name), VARIABLES.get(name)
        told = (after or before, before, after)
        meaning = told[0].meaning if told[0] is not None else ""
        kind = told[0].type if told[0] is not None else ""
        if before is not None and after is not None and before.meaning != after.meaning:
            meaning = f"{after.meaning} (before: {before.meaning})"
        yield _row(f"`{name}`", kind, "✓" if before else "", "✓" if after else "", meaning)


def _event_variables() -> Iterator[str]:
    for name, variable in EVENT_VARIABLES.items():
        yield _row(f"`{name}`", variable.type, variable.meaning)


def _recipes() -> Iterator[str]:
    for recipe in RECIPES:
        yield f"\n### {recipe.title}\n\n```toml\n{recipe.text.strip()}\n```\n"
        if recipe.note:
            yield f"\n{recipe.note}\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"
