"""Looking changes nothing and tells all."""

from datetime import datetime


def test_json_of_why_is_the_story_with_moments_in_utc(drip, started):
    story = drip("why", "ada@example.com", "--json").json()
    assert [row["what"] for row in story] == ["created", "enrolled", "claimed", "handed_over"]
    assert all(datetime.fromisoformat(row["moment"]).tzinfo for row in story)


def test_status_tells_the_use_of_each_limit(drip, started):
    assert drip("status", "--json").json()["limits"] == []
    file = started / "sequences" / "welcome.yml"
    file.write_text(file.read_text() + "limits: {per_day: 7}\n")
    (row,) = drip("status", "--json").json()["limits"]
    assert (row["kind"], row["key"], row["period"], row["cap"]) == ("sequence", "welcome", "day", 7)
    assert f"{row['used']} / 7" in drip("status").out
    file.write_text("steps: broken")
    assert drip("status", "--json").json()["limits"] is None


def test_status_accounts_for_every_planned_step(drip, started):
    status = drip("status", "--json").json()
    assert status["planned"] == sum(status["outcomes"].values()) == 1
    assert status["outcomes"]["sent"] == 1
    assert status["enrollments"] == {"welcome": {"active": 1}}
    assert status["waiting"] == 1
    told = drip("status")
    assert "welcome" in told.out
    assert "leads: 1" in told.out


def test_why_tells_the_story_in_order(drip, started):
    words = ["created", "enrolled", "claimed", "handed_over"]
    told = drip("why", "ada@example.com").out
    assert [told.index(word) for word in words] == sorted(told.index(word) for word in words)
