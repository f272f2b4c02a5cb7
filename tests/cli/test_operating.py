"""What an operator does, as a person and a script meet it."""

from datetime import UTC, datetime

import pytest

from pipeline.inbound.landing import append_lines, landing_line


def test_json_of_resume_is_the_new_due_time(drip, started):
    path = started / "sequences" / "welcome.yml"
    path.write_text(path.read_text().replace("replied: stop", "replied: pause"))
    now = datetime.now(UTC)
    line = landing_line(
        line_id="0" * 32,
        received_at=now,
        source="operator",
        events=[{"kind": "replied", "send_id": 1}],
    )
    append_lines(started / "home", "operator", [line], now)
    assert drip("tick", "--json").json()["counts"]["events"] == 1
    assert drip("status", "--json").json()["enrollments"]["welcome"] == {"paused": 1}
    told = drip("resume", "enrollment", "1", "--json")
    assert told.json()["target"] == "enrollment 1"
    assert datetime.fromisoformat(told.json()["due_at"]) > now


def test_a_sequence_is_paused_told_of_and_resumed(drip, started):
    told = drip("pause", "sequence", "welcome", "--reason", "the offer [is] gone")
    assert (told.code, told.out.strip()) == (0, "sequence welcome paused: 1 running enrollments")
    told = drip("pause", "sequence", "welcome")
    assert told.code == 1
    assert "paused already. `drip resume sequence welcome` resumes it." in told.err
    told = drip("resume", "sequence", "welcome", "--json")
    assert told.json()["count"] == 1
    assert told.json()["still_paused_by"] == []
    assert drip("resume", "sequence", "welcome").code == 1


def test_everything_is_resumed_and_what_stays_paused_is_said(drip, started):
    path = started / "sequences" / "welcome.yml"
    path.write_text(path.read_text().replace("status: active", "status: paused"))
    assert drip("tick").code == 0
    assert drip("pause", "everything").code == 0
    told = drip("resume", "sequence", "welcome")
    assert told.code == 1
    assert "write `status: active` in welcome.yml; everything by an operator" in told.err
    assert drip("resume", "everything").code == 0
    assert "Everything has no name" in drip("pause", "everything", "welcome").err
    assert "Which sequence?" in drip("pause", "sequence").err


def test_an_archived_sequence_ends_at_the_next_tick_and_a_removed_one_is_told_of(drip, started):
    path = started / "sequences" / "welcome.yml"
    text = path.read_text()
    path.unlink()
    (problem,) = drip("check", "--json").json()
    assert (problem["file"], problem["severity"]) == ("welcome.yml", "warning")
    assert "1 enrollments still run" in problem["message"]
    path.write_text(text)
    assert drip("archive", "welcome", "--json").json() == {"path": str(path), "drain": False}
    assert drip("tick", "--json").json()["counts"] == {"ended": 1}
    assert drip("status", "--json").json()["enrollments"] == {"welcome": {"exited": 1}}
    assert "archived already" in drip("archive", "welcome").err


def test_stop_ends_one_and_stop_everything_writes_the_file(drip, started):
    assert "stopped: 1 running" in drip("stop", "enrollment", "1").out
    assert "nobody is ended" in drip("stop", "everything").out
    assert (started / "home" / "STOP").exists()
    assert drip("resume", "everything", "--json").json()["still_paused_by"] == []
    assert not (started / "home" / "STOP").exists()


def test_resolve_lists_and_refuses_what_is_known(drip, started):
    assert drip("resolve", "--list", "--json").json() == []
    assert "Unknown sends" in drip("resolve", "--list").out
    told = drip("resolve", "1", "--sent")
    assert (told.code, "handed_over, not unknown" in told.err) == (1, True)
    assert "--sent` or `--not-sent`" in drip("resolve", "1").err


def test_a_migration_is_counted_first_and_done_with_apply(drip, started):
    told = drip("migrate", "welcome")
    assert told.code == 0
    assert "0 would move to version" in told.out
    assert "--apply" in told.out
    path = started / "sequences" / "welcome.yml"
    path.write_text(path.read_text().replace("subject: ", "subject: So, ", 1))
    assert drip("migrate", "welcome", "--json").json()["count"] == 1
    told = drip("migrate", "welcome", "--apply", "--json").json()
    assert (told["count"], told["is_applied"], told["ended"]) == (1, True, {})
    assert "0 moved to version" in drip("migrate", "welcome", "--apply").out
    assert "--map OLD=NEW" in drip("migrate", "welcome", "--map", "a").err


def test_enroll_asks_for_whom_a_query_names_and_for_one_way_only(drip, started):
    sql = "select lead_id from lead_status"
    told = drip("enroll", "welcome", "--segment", sql, "--json")
    assert told.json() == {"sequence": "welcome", "requests": 1}
    drip("tick")
    assert "running" in drip("why", "ada@example.com").out
    assert drip("enroll", "welcome", "--segment", sql, "--lead", "ada@example.com").code == 1
    assert drip("enroll", "welcome").code == 1


def test_two_leads_are_counted_first_and_merged_with_apply(drip, started):
    now = datetime.now(UTC)
    lead = {"email": "countess@example.com", "source": "API"}
    line = landing_line(line_id="a" * 32, received_at=now, source="api", leads=[lead])
    append_lines(started / "home", "inbound", [line], now)
    assert drip("tick").code == 0
    told = drip("merge-leads", "ada@example.com", "countess@example.com")
    assert ("would be merged" in told.out, "--apply" in told.out) == (True, True)
    assert drip("status", "--json").json()["leads"] == 2
    done = drip(
        "merge-leads", "ada@example.com", "countess@example.com", "--apply", "--json"
    ).json()
    assert (done["is_new"], done["is_applied"]) == (True, True)
    assert drip("status", "--json").json()["leads"] == 1
    assert "one lead already" in drip("merge-leads", "ada@example.com", "countess@example.com").out
    told = drip("why", "countess@example.com").out
    assert ("merged" in told, "exited" in told) == (True, True)


@pytest.mark.slow
def test_leads_that_are_one_are_one_in_the_warehouse(drip, started):
    now = datetime.now(UTC)
    lead = {"email": "countess@example.com", "source": "API"}
    line = landing_line(line_id="a" * 32, received_at=now, source="api", leads=[lead])
    append_lines(started / "home", "inbound", [line], now)
    assert drip("tick").code == 0
    assert drip("merge-leads", "ada@example.com", "countess@example.com", "--apply").code == 0
    assert drip("refresh").code == 0
    published = drip("query", "from marts.enrollments", "--json").json()
    ends = {(row["status"], row["end_reason"]) for row in published}
    assert (len(published), ends) == (2, {("active", None), ("exited", "merged")})
    assert len(drip("query", "from marts.leads", "--json").json()) == 1


def test_a_person_rules_about_an_experiment(drip, started):
    file = started / "sequences" / "nurture.yml"
    file.write_text(file.read_text().replace("status: draft", "status: active"))
    drip("tick")
    told = drip("declare", "introduction_subject_1", "b")
    assert (told.code, "gets arm b" in told.out) == (0, True)
    told = drip("declare", "introduction_subject_1", "--undo", "--json")
    assert told.json() == {
        "experiment_id": "introduction_subject_1",
        "declared_arm": None,
        "is_paused": False,
    }
    assert "gets the control" in drip("pause", "experiment", "introduction_subject_1").out
    assert "arms are drawn" in drip("resume", "experiment", "introduction_subject_1").out
    assert "Which experiment?" in drip("pause", "experiment").err
    assert "--undo" in drip("declare", "introduction_subject_1").err
