"""Resuming what a reaction paused (R6).

Belongs here: moving due times by the length of the pause. Does not: pausing by an event
(`reactions`).
"""

from datetime import datetime

from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import DripError, Settings

_RESUME = """
update live set
    is_paused = false,
    due_at = live.due_at + ($now - p.paused_at),
    slot_at = live.slot_at + ($now - p.paused_at)
from enrollment_pauses as p
where
    live.enrollment_id = $enrollment_id
    and p.enrollment_id = live.enrollment_id
    and p.resumed_at is null
    and live.is_paused
returning live.due_at
"""


def resume_enrollment(settings: Settings, enrollment_id: int, now: datetime) -> datetime:
    """Let a paused enrollment go on; its open due time moves by the length of the pause.

    Returns the new due time of its open step.

    Raises:
        DripError: it is not paused.
    """
    values = {"enrollment_id": enrollment_id, "now": now}
    with open_ledger(settings.home) as con, transaction(con):
        rows = con.execute(_RESUME, values).fetchall()
        if not rows:
            raise DripError(
                f"Enrollment {enrollment_id} is not paused. `drip why enrollment:{enrollment_id}` "
                "tells how it stands."
            )
        con.execute(
            "update enrollment_pauses set resumed_at = $now "
            "where enrollment_id = $enrollment_id and resumed_at is null",
            values,
        )
    due_at: datetime = rows[0][0]
    return due_at
