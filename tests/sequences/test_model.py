from decimal import Decimal
from typing import Any

import pytest

from pipeline.sequences.calendars import Calendar
from pipeline.sequences.compiled import Delay
from pipeline.sequences.model import (
    NOT_YET,
    SequenceFile,
    Transport,
    Workspace,
    read_model,
    suggest,
)
from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import YamlFile

STEP = {"id": "a", "channel": "email", "subject": "x", "body": "templates/a.md"}


def problems_of(data: dict[str, Any], model: Any = SequenceFile) -> list[Problem]:
    found: list[Problem] = []
    result = read_model(model, YamlFile("s.yml", data, {}), found)
    assert (result is None) == bool(found)
    return found


def sequence(**fields: Any) -> SequenceFile:
    found: list[Problem] = []
    file = read_model(SequenceFile, YamlFile("s.yml", {"steps": [STEP], **fields}, {}), found)
    assert file, found
    return file


def step(**fields: Any) -> dict[str, Any]:
    return {"steps": [{**STEP, **fields}]}


def test_the_smallest_sequence_is_a_draft_with_the_default_calendar() -> None:
    file = sequence()
    assert file.status == "draft"
    assert (file.calendar.days, file.calendar.hours) == (Calendar().days, Calendar().windows)
    assert file.calendar.timezone == Calendar().timezone
    assert file.calendar.fallback_timezone == Calendar().fallback_timezone
    assert file.limits.per_lead == 5


def test_a_window_may_cross_midnight_and_there_may_be_several() -> None:
    assert sequence(calendar={"hours": "22:00-02:00"}).calendar.hours == ((1320, 1560),)
    several = sequence(calendar={"hours": ["13:00-17:00", "09:00-12:00"]})
    assert several.calendar.hours == ((540, 720), (780, 1020))
    assert sequence(calendar={"hours": "00:00-24:00"}).calendar.hours == ((0, 1440),)


def test_a_delay_may_count_from_enrolment() -> None:
    after = sequence(**step(after={"since": "enrollment", "delay": "12h"})).steps[0].after
    assert after == Delay("seconds", 43200, "enrollment")


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        pytest.param({"stauts": "active"}, "stauts", "Did you mean 'status'", id="near field"),
        pytest.param({"on": 1}, "on", "Known: calendar", id="on is a key like any other"),
        pytest.param(step(chanel="sms"), "steps[0].chanel", "'channel'", id="near step field"),
        pytest.param({"status": "completed"}, "status", "archived", id="derived status"),
        pytest.param({"status": "activ"}, "status", "Did you mean active", id="near status"),
        pytest.param({"enroll": {"holdout": 0.1}}, "enroll.holdout", "such as 10%", id="share"),
        pytest.param({"enroll": {"holdout": "101%"}}, "enroll.holdout", "100%", id="above 100%"),
        pytest.param({"enroll": {"max_leads": 0}}, "enroll.max_leads", "at least 1", id="none"),
        pytest.param({"enroll": {"when": True}}, "enroll.when", 'in "quotes"', id="bare true"),
        pytest.param({"limits": {"per_lead": "5"}}, "limits.per_lead", "without quotes", id="int"),
        pytest.param({"calendar": {"timezone": "Mars/X"}}, "calendar.timezone", "IANA", id="zone"),
        pytest.param(
            {"calendar": {"fallback_timezone": "Europe/Berlim"}},
            "calendar.fallback_timezone",
            "did you mean Europe/Berlin",
            id="near zone",
        ),
        pytest.param(
            {"calendar": {"fallback_timezone": "lead"}},
            "calendar.fallback_timezone",
            "unknown zone",
            id="no fallback to the lead",
        ),
        pytest.param({"calendar": {"days": ["monday"]}}, "calendar.days", "[mon, tue", id="day"),
        pytest.param({"calendar": {"days": []}}, "calendar.days", "no days", id="no days"),
        pytest.param({"calendar": {"hours": "9-17"}}, "calendar.hours", "HH:MM", id="hours"),
        pytest.param({"calendar": {"hours": "09:00-09:00"}}, "calendar.hours", "HH", id="empty"),
        pytest.param({"calendar": {"hours": "09:61-10:00"}}, "calendar.hours", "HH", id="minute"),
        pytest.param({"calendar": {"hours": "24:00-25:00"}}, "calendar.hours", "HH", id="hour"),
        pytest.param({"calendar": {"hours": []}}, "calendar.hours", "HH", id="no hours"),
        pytest.param({"react": {"replied": "halt"}}, "react.replied", "stop, pause", id="react"),
        pytest.param(
            {"react": {"replied": {"do": "halt"}}}, "react.replied.do", "stop or", id="do"
        ),
        pytest.param(
            {"react": {"replied": {"do": "stop", "resume_after": "3d"}}},
            "react.replied",
            "nothing to resume after stop",
            id="resume",
        ),
        pytest.param({"react": {"foo": "stop"}}, "react.foo", "converted or", id="reaction"),
        pytest.param({"goal": {}}, "goal.name", "add `name:`", id="missing"),
        pytest.param({"goal": "sale"}, "goal", "`key: value`", id="text for a map"),
        pytest.param({"steps": []}, "steps", "at least 1", id="no steps"),
        pytest.param({"steps": {}}, "steps", "must be a list", id="map for a list"),
        pytest.param(step(id="A b"), "steps[0].id", "small letters", id="step id"),
        pytest.param(step(after="1y"), "steps[0].after", "3d", id="duration"),
        pytest.param(
            step(after={"since": "birth", "delay": "1d"}), "steps[0].after", "since", id="since"
        ),
        pytest.param(step(after={"delay": "1d"}), "steps[0].after", "since: enrollment", id="half"),
        pytest.param(step(branch=[{"stps": []}]), "steps[0].branch[0].stps", "'steps'", id="case"),
        pytest.param(step(end="dead"), "steps[0].end", "inactive or completed", id="end"),
        pytest.param(step(retry={"backoff": "2bd"}), "steps[0].retry.backoff", "plain", id="bd"),
    ],
)
def test_a_mistake_is_told_with_its_field_and_what_to_write(
    data: dict[str, Any], field: str, words: str
) -> None:
    found = problems_of({"steps": [STEP], **data})
    assert [problem.field for problem in found] == [field]
    assert words in found[0].message


def test_guardrails_are_three_and_a_test_names_those_that_it_watches() -> None:
    base = {"id": "e", "control": "a", "metric": "replied", "variants": [{"id": "a"}, {"id": "b"}]}
    some = step(experiment={**base, "decide": {"guardrails": ["complained"]}})
    assert problems_of(some) == []
    none = step(experiment={**base, "decide": {"guardrails": ["opened"]}})
    (found,) = problems_of(none)
    assert found.field == "steps[0].experiment.decide.guardrails[0]"
    assert "unsubscribed" in found.message


def test_what_is_not_supported_yet_may_be_written_as_null() -> None:
    file = sequence(enroll={"event": None}, calendar={"holidays": None})
    assert file.calendar.holidays == ()


def test_every_refused_field_says_what_to_do_instead() -> None:
    assert all(":" in message for message in NOT_YET.values())


WORKSPACE: dict[str, Any] = {
    "name": "x",
    "timezone": "UTC",
    "senders": {"a": {"channel": "email", "address": "A <a@example.com>"}},
}


def test_the_smallest_workspace_writes_to_files() -> None:
    workspace = Workspace.model_validate(WORKSPACE)
    assert workspace.transports == {"maildir": Transport(kind="maildir")}
    assert workspace.default_sender("email") == "a"
    assert workspace.default_sender("sms") is None


def test_a_default_sender_wins_over_the_only_one() -> None:
    senders = {**WORKSPACE["senders"], "b": WORKSPACE["senders"]["a"]}
    assert (
        Workspace.model_validate({**WORKSPACE, "senders": senders}).default_sender("email") is None
    )
    named = {**WORKSPACE, "senders": senders, "default_senders": {"email": "b"}}
    assert Workspace.model_validate(named).default_sender("email") == "b"


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        pytest.param({"timezone": "lead"}, "timezone", "unknown zone", id="zone"),
        pytest.param({"currency": "usd"}, "currency", "right form", id="currency"),
        pytest.param({"base_url": "example.com"}, "base_url", "https://", id="no scheme"),
        pytest.param(
            {"attributes": ["First Name"]}, "attributes[0]", "small letters", id="attribute"
        ),
        pytest.param({"goals": {"sale": "crm"}}, "goals.sale", "tracker, api", id="source"),
        pytest.param(
            {"senders": {"a": {"channel": "email", "address": "x"}}},
            "senders.a.address",
            "Ann",
            id="address",
        ),
        pytest.param(
            {"transports": {"x": {"kind": "ses"}}},
            "transports.x.kind",
            "maildir or smtp",
            id="kind",
        ),
        pytest.param({"providers": {}}, "providers", "not supported yet", id="providers"),
        pytest.param({"rates": {"EUR": 1.1}}, "rates.EUR", "key: value", id="an undated rate"),
        pytest.param(
            {"rates": {"EUR": {"2026-01-01": 0}}},
            "rates.EUR.2026-01-01",
            "is no rate",
            id="a worthless currency",
        ),
        pytest.param(
            {"rates": {"USD": {"2026-01-01": 1}}}, "rates", "own currency", id="its own rate"
        ),
    ],
)
def test_a_mistake_in_the_workspace_is_told(data: dict[str, Any], field: str, words: str) -> None:
    found = problems_of({**WORKSPACE, **data}, Workspace)
    assert [problem.field for problem in found] == [field]
    assert words in found[0].message


def test_a_suggestion_names_the_nearest_word_or_all() -> None:
    assert suggest("sals", ["sales", "text"]) == " Did you mean 'sales'?"
    assert suggest("zzz", ["sales", "text"]) == " Known: sales, text."
    assert suggest("zzz", []) == ""


def sender_that_costs(cost: object) -> dict[str, Any]:
    sender = {"channel": "email", "address": "a@example.com", "cost": cost}
    return {"name": "W", "timezone": "UTC", "senders": {"s": sender}}


def test_a_price_is_money_to_the_last_digit() -> None:
    costs = [
        Workspace.model_validate(sender_that_costs(cost)).senders["s"].cost
        for cost in (0.0075, 1, None)
    ]
    assert costs == [Decimal("0.0075"), Decimal(1), None]


@pytest.mark.parametrize("cost", [-1, 0.00001, "0.01", True, float("inf")])
def test_what_is_no_price_is_refused(cost: object) -> None:
    assert "is no price" in problems_of(sender_that_costs(cost), Workspace)[0].message


LIMITS = {
    "limits": {"contact_gap": "12h", "domain_per_day": {"*": 5, "gmail.com": 2}},
    "senders": {
        "s": {
            "channel": "email",
            "address": "a@example.com",
            "limits": {"per_day": 9, "warm_up": {"start": 2, "growth": 1.5, "from": "2026-11-01"}},
        }
    },
}


def test_limits_of_the_workspace_are_read() -> None:
    workspace = Workspace.model_validate({"name": "W", "timezone": "UTC"} | LIMITS)
    assert workspace.limits.contact_gap == 12 * 3600
    ramp = workspace.senders["s"].limits.warm_up
    assert ramp is not None
    assert (ramp.start, ramp.growth, str(ramp.from_)) == (2, 1.5, "2026-11-01")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        pytest.param({"contact_gap": "31d"}, "a duration up to 30d", id="gap"),
        pytest.param({"lead_per_day": 0}, "must be at least 1", id="none"),
        pytest.param({"domain_per_day": {"Gmail.com": 3}}, "in small letters", id="domain"),
        pytest.param({"per_day": 3}, "unknown field 'per_day'", id="of a sequence"),
    ],
)
def test_a_wrong_limit_of_the_workspace_says_what_to_write(
    limits: dict[str, Any], said: str
) -> None:
    data = {"name": "W", "timezone": "UTC", "senders": {}, "limits": limits}
    assert said in problems_of(data, Workspace)[0].message
