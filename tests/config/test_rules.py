"""`[[rules]]` in the settings: read, checked with the destinations there are, every fault with its line."""

import pytest
from pydantic import ValidationError

from config.errors import SettingsError
from config.loading import load_settings
from config.rule_files import destinations_in, kinds_in, read_rule_file
from config.rules import RuleSettings, rule_values, rules_of_documents, wrong_rules
from routing.rules import RuleValue, WrongRules

TAKES = {"langfuse": "spans", "hook": "both", "slack": "events"}
HOOK = """
[destinations.hook]
type = "webhook"
url = "https://hooks.example.com/llm"
secret = "whsec_{secret}"
""".format(secret="c2VjcmV0" * 4)


def load(tmp_path, text):
    path = tmp_path / "faregate.toml"
    path.write_text(text)
    return load_settings(path, {}, {})


def wrong(tmp_path, text):
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    return raised.value.problems


def test_a_rule_is_what_the_file_says():
    [rule] = rules_of_documents(
        [
            {
                "name": "taste",
                "when": "status == 200",
                "send_to": ["langfuse"],
                "sample": 0.25,
                "sample_by": "trace",
                "always": "cost_usd > 1.0",
                "split": {"a": 1, "b": 2.5},
                "otherwise": "hook",
                "set": {"cost.center": "tags.team"},
                "content": "redacted",
                "redact": ["secrets", "email"],
                "enabled": False,
            }
        ]
    )
    assert rule == RuleValue(
        "taste",
        when="status == 200",
        send_to=("langfuse",),
        sample=0.25,
        sample_by="trace",
        always="cost_usd > 1.0",
        split={"a": 1.0, "b": 2.5},
        otherwise="hook",
        set={"cost.center": "tags.team"},
        content="redacted",
        redact=("secrets", "email"),
        enabled=False,
    )


def test_a_rule_without_a_name_is_called_by_its_number_and_one_name_is_a_list_of_one():
    rules = rules_of_documents([{"send_to": "langfuse"}, {"name": "b", "events": "budget.*", "send_to": "slack"}, {"drop": True}])
    assert [rule.name for rule in rules] == ["rule 1", "b", "rule 3"]
    assert (rules[0].send_to, rules[1].events, rules[2].drop) == (("langfuse",), ("budget.*",), True)
    assert rules_of_documents([]) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample", 0),
        ("sample", 1.01),
        ("sample", 0.0009),
        ("sample_by", "user"),
        ("content", "some"),
        ("set", {"a b": "1"}),
        ("set", {"": "1"}),
        ("set", {"x" * 129: "1"}),
        ("set", {"a": 1}),
        ("send_to", [1]),
        ("send_to", {"a": 1}),
        ("split", {"a": "much"}),
        ("drop", "perhaps"),
        ("sned_to", ["langfuse"]),
    ],
)
def test_what_a_setting_cannot_be_is_refused(field, value):
    with pytest.raises(ValidationError):
        RuleSettings.model_validate({"send_to": ["langfuse"]} | {field: value})


def test_an_unknown_kind_of_data_names_the_nearest():
    with pytest.raises(WrongRules, match="did you mean 'national_id'"):
        rules_of_documents([{"send_to": "a", "redact": ["national_ids"]}])
    told = list(wrong_rules([RuleSettings(send_to=("hook",), redact=("project",))], TAKES, ["projects"]))
    assert told == ["rules.0.redact: in the rule 'rule 1': there is no kind or profile 'project'; did you mean 'projects'?"]


def test_kinds_that_the_settings_define_may_be_redacted_as_all_others():
    rules = [RuleSettings(send_to=("hook",), redact=("projects", "card"))]
    assert list(wrong_rules(rules, TAKES, ["projects"])) == []
    document = [{"send_to": "hook", "redact": "projects"}]
    assert rules_of_documents(document, ["projects"])[0].redact == ("projects",)
    assert rules_of_documents(document, None)[0].redact == ("projects",)


def test_a_file_of_rules_may_redact_kinds_of_its_own_and_of_the_settings(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("[redaction.own.here]\nwords = ['Acme']\n[[rules]]\nsend_to = 'hook'\nredact = ['here', 'there']\n")
    assert read_rule_file(path, TAKES, ["there"]).problems == []
    assert read_rule_file(path, TAKES).problems == []
    assert "no kind or profile 'there'" in str(read_rule_file(path, TAKES, []).problems[0])
    assert set(kinds_in(path)) == {"here"}
    assert set(kinds_in(None)) == set(kinds_in(tmp_path / "nothing.toml")) == set()


def test_faults_have_their_place_in_the_settings():
    rules = [
        RuleSettings(name="a", send_to=("langfus",)),
        RuleSettings(when="cost > 1", send_to=("hook",)),
        RuleSettings(set={"x": "modle"}),
    ]
    told = list(wrong_rules(rules, TAKES))
    assert [line.split(": ")[0] for line in told] == ["rules.0.send_to", "rules.1.when", "rules.2.set.x"]
    assert "did you mean langfuse?" in told[0]
    assert "in the rule 'rule 2'" in told[1]
    assert list(wrong_rules(rules[:0], {})) == []


def test_documents_that_are_no_rules_are_refused_with_their_number():
    with pytest.raises(WrongRules) as raised:
        rules_of_documents([{"send_to": "a"}, {"name": "odd", "sample": 5, "foo": 1}, 3])
    assert [(one.number, one.rule, one.setting) for one in raised.value.problems] == [
        (1, "odd", "sample"),
        (1, "odd", "foo"),
        (2, "rule 3", ""),
    ]
    with pytest.raises(WrongRules):
        rules_of_documents({"send_to": "a"})


def test_a_settings_file_with_rules_and_destinations_is_read(tmp_path):
    loaded = load(tmp_path, HOOK + '[[rules]]\nname = "all"\nsend_to = ["hook"]\nset = { "a.b" = "status" }\n')
    assert [rule.name for rule in rule_values(loaded.settings.rules)] == ["all"]
    assert loaded.settings.takes() == {"hook": "both"}


def test_everything_that_is_wrong_in_a_settings_file_is_said_with_its_line(tmp_path):
    text = HOOK + '\n[[rules]]\nname = "a"\nwhen = "modle == 1"\nsend_to = ["hok"]\n\n[[rules]]\nname = "a"\nsend_to = ["hook"]\n'
    told = wrong(tmp_path, text)
    assert len(told) == 3
    assert (
        "faregate.toml:9: rules.0.when: in the rule 'a': There is no variable `modle` at character 1; did you mean `model`?"
        in told[0]
    )
    assert "faregate.toml:10: rules.0.send_to" in told[1]
    assert "did you mean hook?" in told[1]
    assert "faregate.toml:13: rules.1.name" in told[2]


def test_a_setting_that_a_rule_does_not_have_names_the_nearest(tmp_path):
    [told] = wrong(tmp_path, HOOK + '[[rules]]\nsend_too = ["hook"]\n')
    assert "send_to" in told


def test_a_file_of_rules_alone_is_read_with_the_destinations_of_another(tmp_path):
    path = tmp_path / "new.toml"
    path.write_text('[[rules]]\nsend_to = ["hook"]\n[[routes]]\ntry = ["openai"]\n')
    found = read_rule_file(path, TAKES)
    assert (found.problems, found.takes, len(found.values)) == ([], None, 1)
    assert [str(one) for one in read_rule_file(path, {}).problems] == [
        f"{path}:2: rule 1, send_to: there is no destination 'hook'; there are none: write [destinations.NAME]"
    ]
    (tmp_path / "faregate.toml").write_text(HOOK + '[destinations.odd]\ntype = "nothing"\n[destinations.l]\ntype = "langfuse"\n')
    assert destinations_in(tmp_path / "faregate.toml") == {"hook": "both", "odd": "both", "l": "spans"}
    assert destinations_in(None) == destinations_in(tmp_path / "nothing.toml") == {}


def test_a_file_that_cannot_be_read_is_an_error_of_settings(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_rule_file(tmp_path / "nothing.toml", {})
