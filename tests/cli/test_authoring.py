"""The first screen: init, check, preview."""

from email import message_from_bytes
from email.policy import default
from pathlib import Path

from pipeline.cli import terminal


def test_json_of_check_lists_problems_and_the_exit_code_says_whether_there_are_errors(
    drip, started
):
    told = drip("check", "--json")
    assert (told.code, told.json()) == (0, [])
    (started / "sequences" / "bad.yml").write_text("steps: 5\n")
    told = drip("check", "--json")
    assert told.code == 1
    assert {"file", "line", "field", "message", "severity"} == told.json()[0].keys()
    assert {problem["file"] for problem in told.json()} == {"bad.yml"}


def test_init_check_tick_and_the_mail_is_a_real_mail(drip, tmp_path):
    told = drip("init", "--email", "ada@example.com", "--first-name", "Ada")
    assert told.code == 0
    assert "a first lead, ada@example.com" in told.out
    assert "drip check" in told.out
    told = drip("check")
    assert (told.code, "0 errors, 0 warnings" in told.out) == (0, True)
    told = drip("tick")
    assert "handed_over 1" in told.out
    path = Path(told.out.split("mail: ")[1].splitlines()[0])
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert mail["To"].addresses[0].addr_spec == "ada@example.com"
    assert mail["Subject"] == "Welcome, Ada"
    assert mail.get_content_type() == "multipart/alternative"
    assert "Ada" in mail.get_body(("plain",)).get_content()
    assert "<p>" in mail.get_body(("html",)).get_content()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Message-ID"]
    assert mail["Date"].datetime.tzinfo
    assert mail.defects == []


def test_init_twice_keeps_what_is_there(drip, started):
    mine = started / "sequences" / "welcome.yml"
    mine.write_text(mine.read_text() + "# mine\n")
    keys = (started / "home" / "keys.json").read_bytes()
    told = drip("init", "--email", "other@example.com")
    assert (told.code, "nothing: the workspace was there already" in told.out) == (0, True)
    assert mine.read_text().endswith("# mine\n")
    assert (started / "home" / "keys.json").read_bytes() == keys
    assert drip("tick", "--json").json()["counts"] == {}
    assert drip("status", "--json").json()["leads"] == 1


def test_preview_prints_the_message_and_names_a_page(drip, started):
    told = drip("preview", "welcome", "welcome", "--lead", "ada@example.com")
    assert "Subject: Welcome, Ada" in told.out
    assert Path(told.out.split("Page: ")[1].strip()).is_file()


TESTED = """
status: active
owner: a@example.com
enroll: {when: "true"}
calendar: {days: [mon, tue, wed, thu, fri, sat, sun], hours: "00:00-24:00"}
steps:
  - id: a
    channel: email
    subject: One
    body: templates/welcome.md
    experiment:
      id: subject_1
      control: x
      metric: replied
      variants: [{id: x}, {id: y, subject: Two}]
"""


def test_check_refuses_a_test_that_became_another_once_somebody_was_drawn(drip, started):
    file = started / "sequences" / "tested.yml"
    file.write_text(TESTED)
    assert drip("tick").code == 0
    assert drip("check").code == 0
    file.write_text(TESTED.replace("Two", "Three"))
    told = drip("check", "--json")
    assert told.code == 1
    [problem] = told.json()
    assert (problem["file"], problem["field"]) == ("tested.yml", "steps[0].experiment.id")
    assert "'subject_1' has 1 units" in problem["message"]
    assert "the subject of arm y" in problem["message"]


def test_check_says_what_is_in_force(drip, started, monkeypatch):
    monkeypatch.setattr(terminal.out, "width", 160)
    told = drip("check")
    assert "In force" in told.out
    assert all(
        word in told.out for word in ("nurture", "per_lead 7", "lead, else America/New_York")
    )


def test_preview_without_a_step_outlines_the_sequence(drip, started):
    found = drip("preview", "nurture", "--json").json()
    assert found["in_force"]["days"] == "mon tue wed thu fri"
    assert [step["step"] for step in found["steps"]] == [
        "introduction",
        "example",
        "last_mail",
        "quiet",
    ]
    told = drip("preview", "nurture")
    assert (told.code, "category: nurture" in told.out, "Steps" in told.out) == (0, True, True)
    told = drip("preview", "nothing")
    assert (told.code, "There is no sequence 'nothing'" in told.err) == (1, True)


def test_schema_prints_a_page_for_people_and_a_schema_for_editors(drip, started):
    told = drip("schema")
    assert (told.code, told.out.startswith("# A sequence file")) == (0, True)
    assert "steps" in drip("schema", "--json").json()["properties"]


def test_an_arm_becomes_the_step_and_the_screen_shows_the_edit(drip, started):
    told = drip("promote", "introduction_subject_1")
    assert (told.code, "has no winner" in told.err) == (1, True)
    told = drip("promote", "introduction_subject_1", "--arm", "b")
    assert told.code == 0
    assert '+    subject: "A short question' in told.out
    assert "drip migrate nurture" in told.out
    assert "experiment:" not in (started / "sequences" / "nurture.yml").read_text()
    assert drip("check").code == 0
