"""How many leads a step gets and how they answer: what a plan of a test starts from.

Belongs here: reading the published warehouse for `drip plan-test`. Does not: sizes (`planning`).
"""

from typing import NamedTuple

import duckdb

from pipeline.settings import DripError

METRICS = ("replied", "clicked", "opened")
_DAYS = 28

_VOLUME = """
select
    count(*) as sent,
    coalesce(avg(cast(was_replied as integer)), 0) as replied,
    coalesce(avg(cast(was_clicked as integer)), 0) as clicked,
    coalesce(avg(cast(was_opened as integer)), 0) as opened,
    coalesce(avg(cast(was_opened_any and not was_opened as integer)), 0) as machines,
    greatest(
        1, least($days, date_diff('day', min(handed_over_at), any_value(refreshed_at)))
    ) as days
from marts.sends cross join (select max(refreshed_at) as refreshed_at from meta.refresh)
where
    sequence_id = $sequence_id and step_id = $step_id and was_sent
    and handed_over_at > refreshed_at - to_days($days)
"""
_STEPS = "select distinct sequence_id || '/' || step_id from marts.sends order by all limit 12"


class Volume(NamedTuple):
    """Of one step: leads per day over the last four weeks, their rate, and what machines open."""

    leads_per_day: float
    base: float
    machines: float


def read_volume(con: duckdb.DuckDBPyConnection, step: str, metric: str) -> Volume:
    """Return the volume of a step, named as `sequence/step`, and the rate of a metric per send.

    Raises:
        DripError: the metric has no rate per send, or nothing was sent from that step.
    """
    if metric not in METRICS:
        raise DripError(
            f"{metric!r} has no rate per message: use one of {', '.join(METRICS)}, or --base."
        )
    sequence_id, _, step_id = step.partition("/")
    values = {"days": _DAYS, "sequence_id": sequence_id, "step_id": step_id}
    [row] = con.execute(_VOLUME, values).fetchall()
    sent, *rates, machines, days = row
    if not sent:
        known = ", ".join(name for (name,) in con.execute(_STEPS).fetchall()) or "none yet"
        raise DripError(
            f"Nothing was sent from {step!r} in the last {_DAYS} days. Steps that sent: {known}."
        )
    base = rates[METRICS.index(metric)]
    return Volume(sent / days, base, machines if metric == "opened" else 0.0)
