"""The analysis tables of the warehouse: read marts, call one pure function, write one table.

Belongs here: which mart columns a function reads, which table its frame becomes.
Does not: statistics (the other modules), when it runs (`refresh`), what is published (`warehouse`).
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from pipeline.analysis.allocation import allocate_arms
from pipeline.analysis.conversions import conversion_curves, conversion_times
from pipeline.analysis.decisions import decide_experiments
from pipeline.analysis.delay_hints import hint_delays
from pipeline.analysis.delays import delay_curves, recommend_delays
from pipeline.analysis.dropoff import drop_off
from pipeline.analysis.insights import find_insights
from pipeline.analysis.send_times import score_hours, score_single_hours
from pipeline.analysis.splits import check_splits
from pipeline.analysis.step_effects import step_effects
from pipeline.analysis.words import word_effects

Analysis = Callable[[duckdb.DuckDBPyConnection, datetime, pl.DataFrame], int]

EXPERIMENTS = """
select experiment_id, metric, mode, planned_leads, alpha, is_auto, control, count_conflicting_units,
    allocation, has_changing_shares, guardrails, expected_loss, margin, has_different_senders
from marts.experiments
"""
EXPERIMENT_ARMS = """
select
    experiment_id, metric, is_primary, arm, role, share, assigned_on, n_assigned, n,
    cast("sum" as double) as "sum", cast(sum_squares as double) as sum_squares,
    sum_so_far, n_engaged, sum_engaged, probability
from marts.experiment_arms
"""
ARM_SHARES = """
select distinct experiment_id, arm, share from marts.experiment_arms
"""
DELAY_ARMS = """
select experiment_id, arm, delay_seconds, role, n_assigned, n, count_replied, count_converted
from marts.delay_arms
"""
# Drawn are four hours of a day.
SEND_TIMES = """
select
    sequence_id, weekday, hour // 4 as block, cast(sum(n) as bigint) as n,
    cast(sum(count_responded) as bigint) as count_responded,
    cast(sum(count_randomised) as bigint) as count_randomised,
    sum(propensity * count_randomised) / nullif(sum(count_randomised), 0) as propensity
from marts.send_hours
where n > 0
group by all
"""
# What is invalid is no test: its arms differ in more than their words.
MESSAGE_TEXTS = """
select
    comparison, variant, is_randomised, channel, contact_no, subject, body, metric, n, count_reached
from marts.message_texts as t
anti join analysis.experiment_decisions as d
    on t.comparison = d.experiment_id and t.is_randomised and d.state = 'invalid'
"""
# A year of messages that can be answered; who bounces or unsubscribes will not answer that one.
REPLY_TIMES = """
with messages as (
    select
        s.*, r.refreshed_at,
        least(first_replied_at, first_bounced_at, first_unsubscribed_at) as ended_at,
        lag(handed_over_at) over each_enrollment as before_at,
        lag(was_clicked or was_replied) over each_enrollment as was_engaged
    from marts.sends as s
    cross join meta.refresh as r
    where was_sent and origin = 'live' and channel in ('email', 'sms', 'whatsapp')
    window each_enrollment as (partition by enrollment_id order by handed_over_at, send_id)
)

select
    sequence_id, step_id, lead_id,
    epoch(coalesce(ended_at, refreshed_at) - handed_over_at) / 86400 as days,
    case ended_at
        when first_replied_at then 'replied'
        when first_bounced_at then 'bounced'
        when first_unsubscribed_at then 'unsubscribed'
    end as outcome,
    epoch(handed_over_at - before_at) / 86400 as wait_days,
    isodow(sent_on) - 1 as weekday, coalesce(was_engaged, false) as was_engaged
from messages
where handed_over_at > refreshed_at - interval 365 day
"""
SEND_HOURS = """
select sequence_id, weekday, hour, n, count_responded
from marts.send_hours
where n > 0
"""
STEP_ENDINGS = """
select sequence_id, version, step_ix, step_id, ended_as, is_dropped, count_enrollments
from marts.step_endings
"""
# Messages that had seven days to answer: of the week before last, and of the one before that.
REPLIES_BY_WEEK = """
select
    sequence_id, cast(epoch(refreshed_at - handed_over_at) // 604800 as bigint) - 1 as week,
    count(*) as n,
    count(*) filter (where first_replied_at <= handed_over_at + interval 7 day) as count_replied
from marts.sends
cross join meta.refresh
where was_sent and origin = 'live' and week between 0 and 1
group by sequence_id, week
"""
CONTACTS = """
select distinct sequence_id, step_id, channel, contact_no
from marts.message_texts
where contact_no is not null
union
select distinct sequence_id, step_id, channel, null
from marts.sends
where was_sent
"""
TIME_TO_CONVERSION = """
select
    sequence_id, is_holdout, duration_whole_days, is_converted, left_as, left_whole_days,
    observed_from_whole_days
from marts.time_to_conversion
"""


def write_experiment_decisions(
    con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame
) -> int:
    """Write analysis.experiment_decisions; return its rows."""
    return _write(con, "experiment_decisions", _decide(con, now, looks)[0])


def write_experiment_comparisons(
    con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame
) -> int:
    """Write analysis.experiment_comparisons; return its rows."""
    return _write(con, "experiment_comparisons", _decide(con, now, looks)[1])


def write_split_checks(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.split_checks; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    splits = con.sql("from marts.experiment_splits").pl()
    checks = check_splits(splits, con.sql(EXPERIMENTS).pl(), con.sql(ARM_SHARES).pl())
    return _write(con, "split_checks", checks)


def write_delay_recommendations(
    con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame
) -> int:
    """Write analysis.delay_recommendations; return its rows. After the decisions: it words them."""
    del now, looks
    decisions = con.sql("from analysis.experiment_decisions").pl()
    times = con.sql("from marts.delay_times").pl()
    advice = recommend_delays(con.sql(DELAY_ARMS).pl(), decisions, times)
    return _write(con, "delay_recommendations", advice)


def write_delay_curves(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.delay_curves; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "delay_curves", delay_curves(con.sql("from marts.delay_times").pl()))


def write_arm_weights(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.arm_weights; return its rows. The looks do not matter."""
    del looks
    weights = allocate_arms(con.sql(EXPERIMENTS).pl(), con.sql(EXPERIMENT_ARMS).pl(), now)
    return _write(con, "arm_weights", weights)


def write_send_times(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.send_times; return its rows. The looks do not matter."""
    del looks
    return _write(con, "send_times", score_hours(con.sql(SEND_TIMES).pl(), now))


def write_conversion_curves(
    con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame
) -> int:
    """Write analysis.conversion_curves; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "conversion_curves", conversion_curves(con.sql(TIME_TO_CONVERSION).pl()))


def write_word_effects(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.word_effects; return its rows. After the decisions: invalid tests are out."""
    del now, looks
    return _write(con, "word_effects", word_effects(con.sql(MESSAGE_TEXTS).pl()))


def write_conversion_times(
    con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame
) -> int:
    """Write analysis.conversion_times; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "conversion_times", conversion_times(con.sql(TIME_TO_CONVERSION).pl()))


def write_delay_hints(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.delay_hints; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "delay_hints", hint_delays(con.sql(REPLY_TIMES).pl()))


def write_send_hours(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.send_hours; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "send_hours", score_single_hours(con.sql(SEND_HOURS).pl()))


def write_drop_off(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.drop_off; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "drop_off", drop_off(con.sql(STEP_ENDINGS).pl()))


def write_insights(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.insights; return its rows. Last of all: they are of the other tables."""
    del now, looks
    insights = find_insights(
        con.sql(REPLIES_BY_WEEK).pl(),
        con.sql("from analysis.drop_off").pl(),
        con.sql(CONTACTS).pl(),
        con.sql("from analysis.word_effects").pl(),
        con.sql("from analysis.delay_hints").pl(),
        con.sql("from analysis.send_times").pl(),
    )
    return _write(con, "insights", insights)


def write_step_effects(con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame) -> int:
    """Write analysis.step_effects; return its rows. Neither `now` nor `looks` matters."""
    del now, looks
    return _write(con, "step_effects", step_effects(con.sql("from marts.step_holdouts").pl()))


# Every function: an open warehouse with its marts and an empty schema `analysis`, the moment of the
# facts in the workspace's zone, and the latest row of ledger.looks per experiment.
ANALYSES: dict[str, Analysis] = {
    "experiment_decisions": write_experiment_decisions,
    "experiment_comparisons": write_experiment_comparisons,
    "split_checks": write_split_checks,
    "delay_recommendations": write_delay_recommendations,
    "delay_curves": write_delay_curves,
    "conversion_curves": write_conversion_curves,
    "conversion_times": write_conversion_times,
    "delay_hints": write_delay_hints,
    "arm_weights": write_arm_weights,
    "send_times": write_send_times,
    "send_hours": write_send_hours,
    "word_effects": write_word_effects,
    "drop_off": write_drop_off,
    "step_effects": write_step_effects,
    "insights": write_insights,
}


def _decide(
    con: duckdb.DuckDBPyConnection, now: datetime, looks: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return decisions and comparisons; the same look every time it is asked at one moment."""
    return decide_experiments(con.sql(EXPERIMENTS).pl(), con.sql(EXPERIMENT_ARMS).pl(), looks, now)


def _write(con: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> int:
    """Replace analysis.<name>, with its comments, by these rows."""
    con.register("new_rows", rows)
    try:
        con.execute((Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8"))
    finally:
        con.unregister("new_rows")
    return rows.height
