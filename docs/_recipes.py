"""The cookbook of rules: each recipe is a piece of a settings file that does what its title says. Tests read and try every one."""

from typing import NamedTuple


class Recipe(NamedTuple):
    """One recipe: what it does, its text as TOML, and what else is to be said of it."""

    title: str
    text: str
    note: str = ""


RECIPES = (
    Recipe(
        "Everything to one place, and an archive of it",
        """
[[rules]]
name = "everything"
send_to = ["langfuse", "bucket"]
""",
    ),
    Recipe(
        "Failures and dear calls in full, and a taste of the rest",
        """
[[rules]]
name = "a taste"
send_to = ["langsmith"]
sample = 0.01
always = 'outcome != "ok" || cost_usd > 0.05'
""",
        "A session is in the sample whole, or not at all. What `always` names is sent from other sessions too, call by call.",
    ),
    Recipe(
        "Another share of each kind of traffic",
        """
[[rules]]
name = "prod"
when = 'env == "prod"'
send_to = ["langfuse"]
sample = 0.05

[[rules]]
name = "not prod"
when = 'env == null || env != "prod"'
send_to = ["langfuse"]
""",
    ),
    Recipe(
        "Compare two platforms on the same kind of traffic",
        """
[[rules]]
name = "trial of phoenix"
split = { langfuse = 90, phoenix = 10 }
""",
        "Each session goes to one of the two, always the same one. Change weights, and as few sessions as possible change sides.",
    ),
    Recipe(
        "A place to go when a platform stays down",
        """
[[rules]]
name = "everything"
send_to = ["langfuse"]
otherwise = "bucket"
""",
        "The bucket gets what Langfuse did not take for long. `faregate destinations replay` brings it there later.",
    ),
    Recipe(
        "Each team to its own project",
        """
[[rules]]
name = "search"
when = 'tags.team == "search"'
send_to = ["langfuse"]

[[rules]]
name = "ads"
when = 'tags.team == "ads"'
send_to = ["langsmith"]

[[rules]]
name = "no team"
when = '!has(tags.team)'
send_to = ["bucket"]
""",
        "A call without the tag matches neither of the first two; their decisions say so.",
    ),
    Recipe(
        "No bodies of one customer, wherever they would go",
        """
[[rules]]
name = "acme keeps its texts"
when = 'customer == "acme"'
content = "none"

[[rules]]
name = "everything"
send_to = ["langfuse", "bucket"]
""",
        "A rule that names no destination is about all of them. It stands first, since the first one that says something of `content` counts.",
    ),
    Recipe(
        "Personal data masked for one platform only",
        """
[[rules]]
name = "eu customers, masked"
when = 'tags.region == "eu"'
send_to = ["langsmith"]
content = "redacted"
redact = ["gdpr"]
""",
    ),
    Recipe(
        "Nothing of tests and health checks",
        """
[[rules]]
name = "not our tests"
when = 'upstream == "sim" || env in ["ci", "test"] || path.startsWith("/v1/models")'
drop = true
""",
        "They are recorded and counted all the same; nobody else hears of them, whatever other rules say.",
    ),
    Recipe(
        "A cost centre on every span",
        """
[[rules]]
name = "cost centre"
set = { "cost.center" = 'has(tags.team) ? tags.team + "/" + project : project' }
""",
    ),
    Recipe(
        "Fields under the names that a platform's dashboards have",
        """
[[rules]]
name = "names of ours"
send_to = ["datadog"]
set = { "llm.tier" = 'model.contains("mini") ? "small" : "large"', "llm.cents" = 'cost_usd * 100.0' }
""",
        "Where the cost is not known, `llm.cents` is left out, and the decision says so: unknown is not free.",
    ),
    Recipe(
        "Slow first chunks of streams",
        """
[[rules]]
name = "slow starts"
when = 'stream && ttft_ms > 3000.0'
send_to = ["hook"]
""",
    ),
    Recipe(
        "Answers that were cut off",
        """
[[rules]]
name = "cut off"
when = 'finish_reason in ["length", "max_tokens", "MAX_TOKENS"]'
send_to = ["hook"]
""",
    ),
    Recipe(
        "Agents that loop: many tools, or very long inputs",
        """
[[rules]]
name = "loops"
when = 'section.startsWith("agent:") && (tool_calls > 10 || input_tokens > 200000)'
send_to = ["hook"]
""",
    ),
    Recipe(
        "Calls that needed more than one try",
        """
[[rules]]
name = "second tries"
when = 'attempts > 1'
send_to = ["hook"]
""",
    ),
    Recipe(
        "Prompts that a cache does not help",
        """
[[rules]]
name = "cold caches"
when = 'input_tokens > 10000 && cache_read_tokens * 10 < input_tokens'
send_to = ["hook"]
sample = 0.1
sample_by = "call"
""",
    ),
    Recipe(
        "A family of models, by a pattern",
        """
[[rules]]
name = "dated snapshots"
when = 'served_model.matches("^gpt-4o(-mini)?-\\\\d{4}-\\\\d{2}-\\\\d{2}$")'
send_to = ["bucket"]
""",
        "`matches` finds a pattern anywhere in a text; `^` and `$` tie it to the ends.",
    ),
    Recipe(
        "Any tag that begins with `exp-`",
        """
[[rules]]
name = "experiments"
when = 'tags.exists(name, name.startsWith("exp-"))'
send_to = ["bucket"]
""",
    ),
    Recipe(
        "Calls whose price is not known",
        """
[[rules]]
name = "unpriced"
when = 'cost_status == "unknown"'
send_to = ["hook"]
""",
    ),
    Recipe(
        "The night shift: calls from 22 to 6 o'clock, UTC",
        """
[[rules]]
name = "night shift"
when = 'started_at.getHours() >= 22 || started_at.getHours() < 6'
send_to = ["bucket"]
""",
    ),
    Recipe(
        "Copies that a route sent to a second upstream",
        """
[[rules]]
name = "mirrored"
when = 'mirror_of != null'
send_to = ["phoenix"]
""",
    ),
    Recipe(
        "Budgets and destinations in trouble, to a channel",
        """
[[rules]]
name = "money"
events = ["budget.*"]
send_to = ["slack"]

[[rules]]
name = "deliveries"
events = ["destination.*", "deliveries.dead"]
when = 'severity != "info"'
send_to = ["slack", "hook"]
""",
    ),
)
