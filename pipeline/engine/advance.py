"""Moving enrollments to their next step: ends, delays, due times (R1, R2).

Belongs here: everything that follows once a step is settled. Does not: what settled it (`plan`,
`settle`, `enroll`).
"""

from datetime import timedelta
from pathlib import Path

import duckdb

from pipeline.engine.assignment import draw_arms
from pipeline.engine.business_days import create_business_days
from pipeline.engine.zones import create_zone_periods
from pipeline.ledger.statements import fetch_value, run_file

_SQL = Path(__file__).with_name("advance.sql")
_DUE_SQL = Path(__file__).with_name("advance_due.sql")
_MOVING_DRAW = """
create or replace temp table drawing as
select
    enrollment_id, lead_id, version_id, next_ix as step_ix, experiment_id, varies, control,
    sample_share, is_auto, is_holdout, has_holdout_arm, holdout, settled_at as drawn_at
from stepping
where varies != 'content'
"""


def advance(con: duckdb.DuckDBPyConnection, salt: str) -> int:
    """Move every row of the temp table `moving` on, and return how many there were.

    `moving` holds rows taken out of `live`, with `settled_at` (when the step was settled),
    `next_ix` (-1 = through), `end_status` and `end_reason` for those that are through.
    """
    count = int(fetch_value(con, "select count(*) from moving"))
    if count == 0:
        return 0
    run_file(con, _SQL)
    con.execute(_MOVING_DRAW)
    draw_arms(con, salt)
    _create_zones(con)
    run_file(con, _DUE_SQL)
    return count


def _create_zones(con: duckdb.DuckDBPyConnection) -> None:
    last_business_day = create_business_days(con)
    rows = con.execute(
        """
        select
            list(distinct next_zone order by next_zone),
            min(least(enrolled_at, settled_at)),
            max(greatest(enrolled_at, settled_at)),
            (select coalesce(max(amount), 0) from (
                select max(delay_amount) as amount from stepping where delay_unit != 'seconds'
                union all
                select max(delay_amount) from arm_range where delay_unit != 'seconds'
            ))
        from stepping
        """
    ).fetchall()
    zones, first, last, days = rows[0]
    if not zones:
        con.execute(
            "create or replace temp table zone_period "
            "(zone varchar, from_at timestamptz, to_at timestamptz, offset_seconds bigint)"
        )
        return
    # Business days stretch over weekends: twice as many calendar days is always enough.
    last += timedelta(days=2 * int(days) + 3)
    # With holidays it may be more.
    create_zone_periods(con, zones, first, max(last, last_business_day or last))
