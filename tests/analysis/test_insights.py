"""Sentences with their number, their uncertainty and the query behind it; nothing from nothing."""

import duckdb
import polars as pl
import pytest

from pipeline.analysis.delay_hints import HINTS_SCHEMA
from pipeline.analysis.dropoff import DROP_OFF_SCHEMA
from pipeline.analysis.insights import INSIGHTS_SCHEMA, find_insights
from pipeline.analysis.send_times import SEND_TIMES_SCHEMA
from pipeline.analysis.words import WORDS_SCHEMA

WEEKS = {"sequence_id": pl.String, "week": pl.Int64, "n": pl.Int64, "count_replied": pl.Int64}
CHANNELS = {
    "sequence_id": pl.String,
    "step_id": pl.String,
    "channel": pl.String,
    "contact_no": pl.Int64,
}
SCHEMAS = {
    "weeks": WEEKS,
    "drops": DROP_OFF_SCHEMA,
    "channels": CHANNELS,
    "words": WORDS_SCHEMA,
    "hints": HINTS_SCHEMA,
    "hours": SEND_TIMES_SCHEMA,
}


def insights(**rows):
    frames = {
        name: pl.DataFrame(rows.get(name, []), schema=schema, orient="row")
        for name, schema in SCHEMAS.items()
    }
    return find_insights(**frames)


def drop(step_id, step_ix, count, of, **changed):
    return {
        "sequence_id": "welcome",
        "version": "v1",
        "step_ix": step_ix,
        "step_id": step_id,
        "ended_as": "unsubscribed",
        "is_dropped": True,
        "n_at_risk": of,
        "count_ended": count,
        "hazard": count / of,
        "hazard_low": 0.0,
        "hazard_high": 1.0,
        "share": 0.1,
        "share_low": 0.0,
        "share_high": 1.0,
        **changed,
    }


def test_nothing_known_is_nothing_said():
    found = insights()
    assert (dict(found.schema), found.height) == (INSIGHTS_SCHEMA, 0)


def test_a_change_beyond_chance_is_told_with_both_weeks_and_its_interval():
    found = insights(
        weeks=[
            ("it's", 0, 1000, 50), ("it's", 1, 1000, 120),
            ("calm", 0, 1000, 100), ("calm", 1, 1000, 104),
            ("small", 0, 199, 90), ("small", 1, 199, 0),
        ]
    )  # fmt: skip
    (row,) = found.to_dicts()
    assert (row["topic"], row["sequence_id"], row["evidence_label"]) == (
        "changed",
        "it's",
        "observed",
    )
    assert row["value"] == pytest.approx(-0.07)
    assert row["interval_low"] < -0.07 < row["interval_high"] < 0
    assert (
        "fell from 12.0\N{NO-BREAK SPACE}% to 5.0\N{NO-BREAK SPACE}% (-7.0 points"
        in row["sentence"]
    )
    assert "50 of 1,000 against 120 of 1,000" in row["sentence"]
    assert "sequence_id = 'it''s'" in row["sql"]


def test_of_many_calm_sequences_hardly_any_is_said_to_change():
    weeks = [
        (f"s{i:02}", week, 1000, 100 + (7 * i * (week + 1)) % 23)
        for i in range(40)
        for week in (0, 1)
    ]
    assert insights(weeks=weeks).height == 0


def test_the_bottleneck_is_the_largest_share_of_those_who_come_so_far():
    found = insights(
        drops=[
            drop("hello", 0, 40, 1000),
            drop("nudge", 2, 30, 200),
            drop("nudge", 2, 10, 100, version="v2"),
            drop("last", 3, 9, 20),
            drop("nudge", 2, 90, 200, ended_as="replied", is_dropped=False),
        ],
        channels=[("welcome", "nudge", "sms", 2)],
    )
    (row,) = found.to_dicts()
    assert (row["topic"], row["value"]) == ("bottleneck", pytest.approx(40 / 300))
    assert row["sentence"].startswith("welcome, step nudge: most are dropped here")
    assert row["interval_low"] < 40 / 300 < row["interval_high"]


def test_rules_of_thumb_propose_a_test_and_are_called_what_they_are():
    found = insights(
        drops=[drop("fifth", 4, 40, 100)],
        channels=[("welcome", "fifth", "email", 5), ("welcome", "fifth", "email", None)],
    )
    assert found["topic"].to_list() == ["bottleneck", "try", "try"]
    assert found["rank"].to_list() == [1, 2, 3]
    tries = found.filter(topic="try")
    assert set(tries["evidence_label"]) == {"rule of thumb"}
    assert "try an SMS in place of this mail" in tries["sentence"][0]
    assert "this is contact 5, the sequence may be too long" in tries["sentence"][1]
    assert all("only a test can tell" in sentence for sentence in tries["sentence"])


def word(feature, lift, **changed):
    return {
        **dict.fromkeys(WORDS_SCHEMA),
        "evidence_label": "randomised",
        "channel": "email",
        "part": "subject",
        "metric": "replied",
        "kind": "phrase",
        "feature": feature,
        "count_tests": 25,
        "is_found": True,
        "lift": lift,
        "lift_low": lift and lift - 0.05,
        "lift_high": lift and lift + 0.05,
        **changed,
    }


def test_the_best_words_of_tests_are_to_be_tried_and_others_are_not():
    found = insights(
        words=[
            word("quick question", 0.12),
            word("free", -0.2),
            word("luck", 0.3, is_found=False),
            word("seen", None, evidence_label="not causal"),
            word("early", 0.4, contact_no=1),
        ]
    )
    (row,) = found.to_dicts()
    assert row["sentence"].startswith(
        "“quick question” in the subject of email: expect +12 % replied (95 % interval +7 to +17 %)"
    )
    assert row["evidence_label"] == "randomised"


def hint(**changed):
    return {
        **dict.fromkeys(HINTS_SCHEMA),
        "sequence_id": "welcome",
        "step_id": "nudge",
        "hazard_ratio": 1.3,
        "hazard_low": 1.1,
        "hazard_high": 1.5,
        "e_value": 1.4,
        "proposal": "test it",
        **changed,
    }


def test_only_waits_that_go_with_replies_are_worth_a_sentence():
    found = insights(hints=[hint(), hint(step_id="b", hazard_low=0.9), hint(hazard_low=None)])
    (row,) = found.to_dicts()
    assert row["evidence_label"] == "association"
    assert (
        "pace × 1.30 for twice the wait, 95 % interval 1.10 to 1.50; E-value 1.4" in row["sentence"]
    )


def test_hours_that_are_better_beyond_chance_say_how_that_is_known():
    hour = {
        **dict.fromkeys(SEND_TIMES_SCHEMA),
        "sequence_id": "welcome",
        "weekday": 1,
        "block": 5,
        "score": 0.08,
        "interval_low": 0.06,
        "interval_high": 0.1,
        "probability_better": 0.99,
        "is_better": True,
        "evidence_label": "observed",
    }
    found = insights(
        hours=[hour, {**hour, "weekday": 2, "score": 0.07}, {**hour, "is_better": False}]
    )
    (row,) = found.to_dicts()
    assert row["sentence"].startswith("welcome: Tuesdays 20:00 to 00:00 brings 8.0")
    assert "Who is written to then may differ" in row["sentence"]


def test_every_query_can_be_asked():
    with duckdb.connect() as con:
        con.execute("create schema marts; create schema analysis; create schema meta")
        con.execute("create table meta.refresh as select timestamptz '2026-01-01' as refreshed_at")
        con.execute(
            "create table marts.sends (sequence_id varchar, step_id varchar, was_sent boolean, "
            "handed_over_at timestamptz, first_replied_at timestamptz)"
        )
        for name, frame in (
            ("drop_off", DROP_OFF_SCHEMA),
            ("word_effects", WORDS_SCHEMA),
            ("delay_hints", HINTS_SCHEMA),
            ("send_times", SEND_TIMES_SCHEMA),
        ):
            con.register("rows", pl.DataFrame(schema=frame))
            con.execute(f"create table analysis.{name} as from rows")
        found = insights(
            weeks=[("a", 0, 900, 9), ("a", 1, 900, 90)],
            drops=[drop("x", 1, 30, 90)],
            words=[word("hello", 0.1)],
            hints=[hint()],
        )
        assert found["topic"].to_list() == ["changed", "bottleneck", "try", "try"]
        for sql in found["sql"]:
            assert con.execute(sql).fetchall() == []
