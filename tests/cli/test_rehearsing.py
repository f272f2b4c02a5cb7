"""The commands that rehearse print what they found and what they took for granted."""


def test_a_forecast_says_what_comes_and_what_it_takes_for_granted(drip, started):
    told = drip("forecast", "--days", "10")
    assert told.code == 0
    assert "welcome" in told.out
    assert "Messages per day by sender" in told.out
    assert "No lead comes" in told.out
    assert "the ledger is as it was" in told.out


def test_json_of_a_forecast_has_a_row_for_each_day_sequence_sender_and_channel(drip, started):
    found = drip("forecast", "--days", "10", "--json").json()
    assert len(found["days"]) == 10
    assert sum(row["messages"] for row in found["messages"]) > 0
    assert {row["sequence_id"] for row in found["messages"]} == {"welcome"}
    assert set(found["messages"][0]) == {"day", "sequence_id", "sender", "channel", "messages"}
    assert found["assumptions"]


def test_a_forecast_of_no_days_is_refused(drip, started):
    told = drip("forecast", "--days", "0")
    assert told.code == 1
    assert "makes no sense" in told.err


def test_a_replay_of_the_same_file_tells_that_nothing_changes(drip, started):
    told = drip("replay", "welcome")
    assert told.code == 0
    assert "Nobody would have been contacted otherwise" in told.out
    assert "Steps, before and now" in told.out


def test_json_of_a_replay_tells_each_lead_that_differs(drip, started, tmp_path):
    text = (tmp_path / "sequences" / "welcome.yml").read_text()
    first = text[: text.index("steps:")] + "steps:\n  - {id: never, after: 1m, end: inactive}\n"
    draft = tmp_path / "draft.yml"
    draft.write_text(first)
    found = drip("replay", draft, "--of", "welcome", "--json").json()
    assert found["first_contacts"] == {"only before": 1}
    assert [row["change"] for row in found["differences"]] == ["only before"]
    assert "only before" in drip("replay", draft, "--of", "welcome", "--leads").out


def test_a_replay_of_nothing_is_told(drip, started):
    assert "no sequence 'nine'" in drip("replay", "nine").err
    assert "does not exist" in drip("replay", "nine.yml", "--of", "welcome").err
