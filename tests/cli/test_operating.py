"""What an operator does, as a person and a script meet it."""

from datetime import UTC, datetime

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
    told = drip("resume", "1", "--json")
    assert told.json()["enrollment_id"] == 1
    assert datetime.fromisoformat(told.json()["due_at"]) > now
