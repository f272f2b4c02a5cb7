import json
from datetime import UTC, datetime

import duckdb
import polars as pl
import pytest

from pipeline.analysis.tables import ANALYSES

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NO_LOOKS = pl.DataFrame(
    schema={
        "experiment_id": pl.String,
        "looked_on": pl.Date,
        "state": pl.String,
        "winner": pl.String,
        "evidence": pl.String,
    }
)
MARTS = """
create schema marts;
create schema meta;
create table meta.refresh as select timestamptz '2026-03-10 12:00:00+00' as refreshed_at;
create table marts.sends (
    send_id bigint, enrollment_id bigint, lead_id bigint, sequence_id varchar, step_id varchar,
    channel varchar, origin varchar, was_sent boolean, was_clicked boolean, was_replied boolean,
    handed_over_at timestamptz, sent_on date, first_replied_at timestamptz,
    first_bounced_at timestamptz, first_unsubscribed_at timestamptz
);
create schema analysis;
create table marts.experiments (
    experiment_id varchar, metric varchar, mode varchar, planned_leads bigint, alpha double,
    is_auto boolean, control varchar, count_conflicting_units bigint,
    allocation varchar default 'weights', has_changing_shares boolean default false,
    guardrails varchar[] default ['unsubscribed', 'complained', 'bounced'],
    expected_loss double, margin double,
    has_different_senders boolean default false
);
create table marts.experiment_arms (
    experiment_id varchar, metric varchar, is_primary boolean, arm varchar, role varchar,
    share double, assigned_on date, n_assigned bigint, n bigint,
    sum decimal(18, 4), sum_squares decimal(18, 4), sum_so_far double,
    n_engaged bigint default 0, sum_engaged double default 0, probability double
);
create table marts.delay_arms (
    experiment_id varchar, arm varchar, delay_seconds bigint, role varchar, n_assigned bigint,
    n bigint, count_replied bigint, count_converted bigint
);
create table marts.experiment_splits (
    experiment_id varchar, trait varchar, value varchar, arm varchar, n_assigned bigint
);
create table marts.delay_times (
    experiment_id varchar, arm varchar, metric varchar, whole_days bigint, outcome varchar,
    count_units bigint
);
create table marts.send_hours (
    sequence_id varchar, weekday bigint, hour bigint, n bigint, count_responded bigint,
    count_randomised bigint, propensity double
);
create table marts.step_holdouts (
    sequence_id varchar, step_id varchar, is_held_out boolean, n_reached bigint, n bigint,
    count_converted bigint, count_unsubscribed bigint, count_leads bigint, share_declared double
);
create table marts.step_endings (
    sequence_id varchar, version varchar, step_ix bigint, step_id varchar, ended_as varchar,
    is_dropped boolean, count_enrollments bigint
);
create table marts.message_texts (
    sequence_id varchar, step_id varchar,
    comparison varchar, variant varchar, is_randomised boolean, channel varchar, contact_no bigint,
    subject varchar, body varchar, metric varchar, n bigint, count_reached bigint
);
create table marts.time_to_conversion (
    sequence_id varchar, is_holdout boolean, duration_whole_days integer, is_converted boolean,
    left_as varchar, left_whole_days bigint, observed_from_whole_days bigint
);
"""
ROWS = """
insert into marts.experiments values ('wait', 'replied', 'open', 10000, 0.05, true, 'a', 0,
    'weights', false, ['complained'], null, null, false);
insert into marts.experiment_arms values
    ('wait', 'replied', true, 'a', 'control', 0.5, date '2026-03-01', 5000, 5000, 400, 400, 400, 900, 90, 0.5),
    ('wait', 'replied', true, 'b', 'treatment', 0.5, date '2026-03-01', 5000, 5000, 600, 600, 600, 950, 150, 0.5);
insert into marts.experiment_splits values
    ('wait', 'source', 'META', 'a', 2500), ('wait', 'source', 'META', 'b', 2500);
insert into marts.delay_times values ('wait', 'a', 'replied', 1, 'replied', 400);
insert into marts.delay_arms values
    ('wait', 'a', 86400, 'control', 5000, 5000, 400, 30),
    ('wait', 'b', 259200, 'treatment', 5000, 5000, 600, 31);
insert into marts.send_hours values
    ('welcome', 0, 8, 400, 30, 0, null), ('welcome', 0, 11, 200, 30, 0, null),
    ('welcome', 0, 12, 300, 10, 300, 0.3), ('welcome', 0, 15, 300, 10, 300, 0.5),
    ('quiet', 0, 8, 999, 60, 0, null), ('quiet', 0, 20, 0, 0, 0, null);
insert into marts.time_to_conversion values
    ('welcome', false, 3, true, null, null, 0), ('welcome', false, 9, false, null, null, 0);
"""


@pytest.fixture
def warehouse():
    with duckdb.connect() as con:
        con.execute(MARTS)
        yield con


def write_all(con, looks=NO_LOOKS):
    return {name: write(con, NOW, looks) for name, write in ANALYSES.items()}


def test_marts_become_the_tables_with_their_rows(warehouse):
    warehouse.execute(ROWS)
    assert write_all(warehouse) == {
        "experiment_decisions": 1,
        "experiment_comparisons": 1,
        "split_checks": 2,
        "delay_recommendations": 2,
        "delay_curves": 1,
        "conversion_curves": 1,
        "conversion_times": 1,
        "delay_hints": 0,
        "arm_weights": 0,
        "send_times": 42,
        "send_hours": 0,
        "word_effects": 0,
        "drop_off": 0,
        "step_effects": 0,
        "insights": 1,
    }
    found = warehouse.execute(
        "select state, winner, evidence from analysis.experiment_decisions"
    ).fetchone()
    assert found[:2] == ("winner", "b")
    assert json.loads(found[2])["looks"] == 1
    advised = warehouse.execute(
        "select recommended_delay_seconds from analysis.delay_recommendations "
        "where metric = 'replied'"
    ).fetchone()
    assert advised == (259_200,)


def test_writing_again_with_the_stored_look_changes_nothing(warehouse):
    warehouse.execute(ROWS)
    write_all(warehouse)
    table = "select * from analysis.experiment_decisions"
    first = warehouse.sql(table).pl()
    looks = first.select("experiment_id", "looked_on", "state", "winner", "evidence")
    write_all(warehouse, looks)
    assert warehouse.sql(table).pl().equals(first)


def test_empty_marts_give_empty_tables(warehouse):
    assert set(write_all(warehouse).values()) == {0}


def test_every_table_and_column_says_what_it_is(warehouse):
    write_all(warehouse)
    tables = dict(
        warehouse.execute(
            "select table_name, comment from duckdb_tables() where schema_name = 'analysis'"
        ).fetchall()
    )
    assert set(tables) == set(ANALYSES)
    assert all(tables.values())
    silent = warehouse.execute(
        "select table_name, column_name from duckdb_columns() "
        "where schema_name = 'analysis' and comment is null"
    ).fetchall()
    assert silent == []


def test_words_are_learned_from_sound_tests_only(warehouse):
    """Without the broken one there are 19 tests with a question, and 20 are needed."""
    warehouse.execute(
        """
        insert into marts.experiments
        select 'test_' || i, 'replied', 'open', null, 0.05, false, 'a', 0, 'weights', false, ['complained'], null, null, false
        from range(20) as t (i);
        insert into marts.experiment_arms
        select experiment_id, 'replied', true, arm, 'treatment', 0.5, date '2026-03-01', 1000, 1000,
            if(arm = 'a', 100, 160), if(arm = 'a', 100, 160), 0, 0, 0, 0.5
        from marts.experiments cross join (values ('a'), ('b')) as arms (arm);
        insert into marts.message_texts
        select 'welcome', 'hello', experiment_id, arm, true, 'email', 1, if(arm = 'a', 'Offer', 'Offer today'), null,
            'replied', 1000, if(arm = 'a', 100, 160)
        from marts.experiments cross join (values ('a'), ('b')) as arms (arm);
        """
    )
    assert write_all(warehouse)["word_effects"] > 0
    warehouse.execute(
        "update marts.experiment_arms set n_assigned = 700 where experiment_id = 'test_7' and arm = 'a'"
    )
    assert write_all(warehouse)["word_effects"] == 0


def test_single_hours_are_scored_where_messages_are_very_many(warehouse):
    warehouse.execute(
        "insert into marts.send_hours values ('welcome', 6, 10, 49999, 5000, 0, null)"
    )
    assert write_all(warehouse)["send_hours"] == 0
    warehouse.execute("insert into marts.send_hours values ('welcome', 0, 9, 1, 0, 0, null)")
    assert write_all(warehouse)["send_hours"] == 168
    found = "select n, count_responded from analysis.send_hours where weekday = 6 and hour = 10"
    assert warehouse.execute(found).fetchall() == [(49_999, 5_000)]


def test_waits_and_replies_are_read_off_the_messages(warehouse):
    """Each enrollment: a mail, three days later another one, which sixty of 400 answer next day."""
    warehouse.execute(
        """
        insert into marts.sends
        select
            2 * i + k, i, i, 'welcome', if(k = 0, 'hello', 'nudge'), 'email', 'live', true, false,
            k = 1 and i < 60, at_, cast(at_ as date), if(k = 1 and i < 60, at_ + interval 20 hour, null),
            if(k = 1 and i = 60, at_ + interval 1 hour, null), null
        from range(400) as e (i)
        cross join (values (0), (1)) as t (k),
        lateral (select timestamptz '2026-02-02 10:00:00+00' + k * interval 3 day) as m (at_)
        """
    )
    assert write_all(warehouse)["delay_hints"] == 1
    (found,) = warehouse.sql(
        "select step_id, n, count_replied, earliest_days, hazard_ratio from analysis.delay_hints"
    ).fetchall()
    assert found == ("nudge", 400, 60, pytest.approx(20 / 24), None)
