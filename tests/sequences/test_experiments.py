from typing import Any

import pytest

from pipeline.sequences.compiled import Delay
from pipeline.sequences.experiments import build_experiment, check_experiment, with_delays
from pipeline.sequences.model import StepFile, Workspace

WORKSPACE = Workspace.model_validate(
    {
        "name": "x",
        "timezone": "UTC",
        "senders": {
            "a": {"channel": "email", "address": "A <a@example.com>"},
            "t": {"channel": "sms", "address": "T <t@example.com>"},
        },
        "goals": {"sale": "tracker"},
    }
)
TWO = [{"id": "a"}, {"id": "b", "subject": "other"}]
DELAYED = [{"id": "a"}, {"id": "b", "after": "2d"}]


def step(after: str | None = "1d", **fields: Any) -> StepFile:
    test = {"id": "e_1", "control": "a", "metric": "replied", "variants": TWO, **fields}
    data = {"id": "s", "channel": "email", "subject": "x", "body": "templates/a.md"}
    return StepFile.model_validate(
        data | ({"after": after} if after else {}) | {"experiment": test}
    )


def findings(step: StepFile, is_first: bool = False) -> list[tuple[tuple[str | int, ...], str]]:
    assert step.experiment
    found = check_experiment(step, step.experiment, WORKSPACE, is_first)
    return [(finding.path, finding.message) for finding in found]


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        pytest.param({"control": "c"}, ("control",), "Known: a, b", id="control"),
        pytest.param({"variants": [*TWO, {"id": "b"}]}, ("variants", 2, "id"), "twice", id="twice"),
        pytest.param({"weights": {"a": "50%", "b": "40%"}}, ("weights",), "sum to 90%", id="sum"),
        pytest.param(
            {"weights": {"a": "100%"}}, ("weights",), "each variant once", id="one left out"
        ),
        pytest.param({"weights": {"a": "100%", "b": "0%"}}, ("weights",), "0%", id="nobody"),
        pytest.param(
            {"allocation": "weights"}, ("allocation",), "weights: {a: 50%", id="no weights"
        ),
        pytest.param(
            {"allocation": "equal", "weights": {"a": "50%", "b": "50%"}},
            ("weights",),
            "remove one",
            id="equal and weights",
        ),
        pytest.param({"metric": "goal(sele)"}, ("metric",), "Did you mean 'sale'", id="goal"),
        pytest.param(
            {"metric": "opened", "decide": {"auto": True}},
            ("decide", "auto"),
            "machines",
            id="auto",
        ),
        pytest.param({"decide": {"mode": "planned"}}, ("decide",), "leads: 6000", id="planned"),
        pytest.param({"decide": {"margin": "0%"}}, ("decide", "margin"), "write 2%", id="margin"),
        pytest.param(
            {"decide": {"expected_loss": "0%"}}, ("decide", "expected_loss"), "write 2%", id="loss"
        ),
        pytest.param({"share": "0%"}, ("share",), "nobody", id="share"),
        pytest.param(
            {"variants": [{"id": "a"}, {"id": "b", "text": "x"}]},
            ("variants", 1, "text"),
            "email steps have no text",
            id="wrong channel",
        ),
        pytest.param(
            {"variants": [{"id": "a", "after": "1d"}, {"id": "b", "subject": "x"}]},
            ("variants",),
            "not both",
            id="content and delay",
        ),
        pytest.param(
            {"variants": [{"id": "a", "hours": "08:00-10:00"}, {"id": "b", "present": False}]},
            ("variants",),
            "vary the presence of the step or `hours`, not both",
            id="presence and hours",
        ),
        pytest.param(
            {"variants": [{"id": "a", "subject": "y"}, {"id": "b", "channel": "sms", "text": "x"}]},
            ("variants",),
            "vary the channel or the content, not both",
            id="channel and content",
        ),
        pytest.param(
            {"variants": [{"id": "a"}, {"id": "b", "channel": "sms"}]},
            ("variants", 1, "text"),
            "sms variant without text",
            id="channel without words",
        ),
        pytest.param(
            {"variants": [{"id": "a"}, {"id": "b", "sender": "t"}]},
            ("variants", 1, "sender"),
            "no email sender 't'. Known: a",
            id="sender of another channel",
        ),
        pytest.param(
            {"variants": [{"id": "a", "present": False}, {"id": "b", "present": False}]},
            ("variants",),
            "nobody would get the step",
            id="nobody",
        ),
    ],
)
def test_what_is_no_test_is_told(
    fields: dict[str, Any], path: tuple[str | int, ...], words: str
) -> None:
    found = findings(step(**fields))
    assert [place for place, _ in found] == [path]
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("channel", "variant", "place", "words"),
    [
        pytest.param(
            "form", {"channel": "email", "subject": "x", "body": "x"}, "channel",
            "a form has no text for an arm: test channels that have", id="form to mail",
        ),
        pytest.param(
            "email", {"channel": "form"}, "channel", "a form has no text for an arm", id="to a form",
        ),
        pytest.param(
            "email", {"channel": "webhook"}, "channel", "a webhook has no text", id="to a webhook",
        ),
        pytest.param("form", {"text": "x"}, "text", "form steps have no text: remove it", id="text"),
    ],
)  # fmt: skip
def test_a_request_is_not_tested_against_words(
    channel: str, variant: dict[str, str], place: str, words: str
) -> None:
    words_of = {"subject": "x", "body": "templates/a.md"} if channel == "email" else {}
    variants = [{"id": "a"}, {"id": "b", **variant}]
    test = {"id": "e_1", "control": "a", "metric": "replied", "variants": variants}
    made = {"id": "s", "after": "1d", "channel": channel, "experiment": test, **words_of}
    found = findings(StepFile.model_validate(made))
    assert [path for path, _ in found] == [("variants", 1, place)]
    assert words in found[0][1]


@pytest.mark.parametrize("change", [{"after": "2d"}, {"hours": "08:00-10:00"}, {"present": False}])
def test_the_moment_and_the_presence_of_a_form_can_be_tested(change: dict[str, Any]) -> None:
    test = {
        "id": "e_1",
        "control": "a",
        "metric": "replied",
        "variants": [{"id": "a"}, {"id": "b", **change}],
    }
    made = {"id": "s", "after": "1d", "channel": "form", "payload": {"a": "x"}, "experiment": test}
    assert findings(StepFile.model_validate(made)) == []


def test_the_delay_of_a_first_step_needs_an_after() -> None:
    assert "no `after` to vary" in findings(step(after=None, variants=DELAYED), is_first=True)[0][1]
    assert findings(step(variants=DELAYED), is_first=True) == []
    assert findings(step(after=None, variants=DELAYED), is_first=False) == []


def test_arms_are_equal_unless_weights_are_given() -> None:
    for fields, weights in (({}, [0.5, 0.5]), ({"weights": {"b": "30%", "a": "70%"}}, [0.7, 0.3])):
        made = step(**fields)
        test = made.experiment
        assert test
        built = build_experiment(made, test, WORKSPACE, [{}, {"subject": "other"}])
        assert [variant.weight for variant in built.variants] == weights
        assert built.varies == "content"


@pytest.mark.parametrize(
    ("second", "varies"),
    [
        ({"subject": "y"}, "content"),
        ({"sender": "a"}, "content"),
        ({"after": "2d"}, "delay"),
        ({"hours": "18:00-20:00"}, "send_time"),
        ({"channel": "sms", "text": "x"}, "channel"),
        ({"present": False}, "presence"),
    ],
)
def test_a_test_varies_what_its_arms_have(second: dict[str, Any], varies: str) -> None:
    made = step(variants=[{"id": "a"}, {"id": "b", **second}])
    assert findings(made) == []
    assert made.experiment
    built = build_experiment(made, made.experiment, WORKSPACE, [{}, {}])
    assert built.varies == varies
    assert built.variants[1].is_present is (varies != "presence")
    assert built.variants[1].channel == ("sms" if varies == "channel" else None)
    # Another channel has a sender of its own, though no variant names one.
    assert built.variants[1].sender == {"channel": "t"}.get(varies, second.get("sender"))


def test_opened_may_be_watched_though_not_decide() -> None:
    assert findings(step(metric="opened")) == []
    assert findings(step(metric="revenue(sale)")) == []


def test_every_arm_of_a_delay_test_has_a_delay() -> None:
    made = step(variants=DELAYED)
    test = made.experiment
    assert test
    built = with_delays(build_experiment(made, test, WORKSPACE, [{}, {}]), Delay("days", 1))
    assert built.varies == "delay"
    assert [variant.delay for variant in built.variants] == [Delay("days", 1), Delay("days", 2)]
