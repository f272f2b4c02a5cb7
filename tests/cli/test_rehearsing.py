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
