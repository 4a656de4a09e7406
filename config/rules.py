"""Rules as the file has them: `[[rules]]`, who hears of a call. Every rule that matches counts."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from recorder.profiles import unknown_name
from routing.rules import RuleProblem, RuleValue, Takes, WrongRules, rule_problems

_FIELD = r"^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$"


def _names(value: Any) -> Any:
    """Take one name for a list of one."""
    return (value,) if isinstance(value, str) else value


_Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class RuleSettings(BaseModel):
    """Who hears of a call, and with what: every rule that matches counts. Without any, every call goes to every destination."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(
        default=None,
        description="Its name, in decisions and for its sample; `rule 1` is the name of the first one without.",
    )
    when: str | None = Field(
        default=None, description="The calls that it is about, in CEL: see [the variables](rules.md). None: every call."
    )
    send_to: _Names = Field(default=(), description="The destinations that are told.")
    sample: float = Field(
        default=1.0, ge=0.001, le=1, description="The share of sessions that it is about: each is whole, or absent."
    )
    sample_by: Literal["session", "trace", "call"] = Field(
        default="session",
        description="What is whole or absent in a sample or a split; without a session, it is the trace.",
    )
    always: str | None = Field(
        default=None, description='What it is about beside its sample, in CEL: `outcome != "ok" || cost_usd > 0.05`.'
    )
    split: dict[str, float] = Field(
        default={}, description="Destinations by weight, each session to one of them: `{ langfuse = 90, phoenix = 10 }`."
    )
    otherwise: str | None = Field(default=None, description="The destination that gets what another one does not take for long.")
    set_: dict[Annotated[str, Field(pattern=_FIELD)], str] = Field(
        default={},
        alias="set",
        description="Fields to add, by name, each a value in CEL; for the destinations of this rule, or for all where it names none.",
    )
    content: Literal["full", "redacted", "none"] | None = Field(
        default=None, description="How much of bodies is sent, instead of what the destination's own settings say."
    )
    redact: _Names | None = Field(
        default=None, description="What is redacted, instead of what the destination's own settings say; `[]` is nothing."
    )
    drop: bool = Field(
        default=False, description="Tell nobody of these calls, whatever other rules say. They are recorded all the same."
    )
    events: _Names = Field(
        default=(),
        description='Makes it a rule about events of the gateway itself, by their types: `["budget.*", "destination.*"]`.',
    )
    enabled: bool = Field(default=True, description="Whether it holds.")

    def named(self, number: int) -> str:
        """Return its name; `number` is its place, from 1."""
        return self.name if self.name is not None else f"rule {number}"

    def value(self, number: int) -> RuleValue:
        """Return this rule as the office knows it; `number` is its place, from 1."""
        return RuleValue(
            name=self.named(number),
            when=self.when,
            send_to=self.send_to,
            sample=self.sample,
            sample_by=self.sample_by,
            always=self.always,
            split=dict(self.split),
            otherwise=self.otherwise,
            set=dict(self.set_),
            content=self.content,
            redact=self.redact,
            drop=self.drop,
            events=self.events,
            enabled=self.enabled,
        )


def rule_values(rules: Iterable[RuleSettings]) -> list[RuleValue]:
    """Return the rules of the settings, in their order."""
    return [rule.value(number) for number, rule in enumerate(rules, 1)]


def unknown_kinds(values: Iterable[RuleValue], kinds: Collection[str]) -> Iterator[RuleProblem]:
    """Yield the rules that redact what there is not; `kinds` are those that the settings define."""
    for number, value in enumerate(values):
        wrong = unknown_name(value.redact or (), kinds)
        if wrong:
            yield RuleProblem(number, value.name, "redact", wrong)


def wrong_rules(rules: Iterable[RuleSettings], takes: Mapping[str, Takes], kinds: Collection[str] = ()) -> Iterator[str]:
    """Yield what is wrong with rules beside each other, the destinations that there are and the kinds that the settings define, each with its place."""
    values = rule_values(rules)
    for problem in (*rule_problems(values, takes), *unknown_kinds(values, kinds)):
        place = f"rules.{problem.number}" + (f".{problem.setting}" if problem.setting else "")
        yield f"{place}: in the rule {problem.rule!r}: {problem.message}"


_LISTED: TypeAdapter[list[RuleSettings]] = TypeAdapter(list[RuleSettings])


def rules_of_documents(documents: Any, kinds: Collection[str] | None = ()) -> list[RuleValue]:
    """Return rules from documents such as the admin API gets, each with the settings of `[[rules]]`.

    `kinds` are those that the settings define; None where nobody knows them here.

    Raises:
        WrongRules: a document is none, or redacts what there is not; what rules say is not looked at yet.

    """
    try:
        values = rule_values(_LISTED.validate_python(documents))
    except ValidationError as error:
        raise WrongRules(
            [_problem(detail, documents) for detail in error.errors(include_url=False, include_input=False)]
        ) from None
    wrong = [] if kinds is None else list(unknown_kinds(values, kinds))
    if wrong:
        raise WrongRules(wrong)
    return values


def _problem(detail: Any, documents: Any) -> RuleProblem:
    location = [part for part in detail["loc"] if part != "[key]"]
    number = location[0] if location and isinstance(location[0], int) else 0
    document = documents[number] if isinstance(documents, list) and number < len(documents) else None
    name = document.get("name") if isinstance(document, dict) else None
    message = str(detail.get("ctx", {}).get("error", "")) or detail["msg"].removeprefix("Input should be ")
    if detail["type"] == "extra_forbidden":
        message = f"there is no setting {location[-1]!r}; there are {', '.join(RuleSettings.model_json_schema()['properties'])}"
    shown = name if isinstance(name, str) else f"rule {number + 1}"
    return RuleProblem(number, shown, ".".join(str(part) for part in location[1:]), message)
