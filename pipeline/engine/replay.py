"""What another version of a sequence would have done: recorded leads and events, told anew.

Belongs here: which moments are lived again, the comparison, what cannot be known. Does not: the
private ledger and its clock (`rehearsal`), any rule of the engine.
"""

import shutil
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pipeline.engine.rehearsal import Rehearsal, Stage, choose_slot, open_private
from pipeline.engine.tick import load_files
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import copy_ledger
from pipeline.sequences.compiled import CompiledSequence, CompiledStep, compile_from_json
from pipeline.sequences.model import Workspace
from pipeline.settings import DripError, Settings

_HERE = Path(__file__).parent
_INSTANT = timedelta(microseconds=1)
# Whoever ticks at all ticks within the hour: a longer silence had nothing to do, or was downtime.
_PATIENCE = timedelta(hours=1)
_NEXT_COMING = """
select min(moment)
from (
    select min(moment) as moment from coming_lead
    union all
    select min(moment) from coming_event
    union all
    select min(moment) from coming_look
    union all
    select min(moment) from coming_suppression where event_id is null
)
"""
_HAS_COME = f"""
select coalesce(least(({_NEXT_COMING}), (select min(moment) from coming_send)) <= $now, false)
"""  # noqa: S608 - both texts are ours


_COUNT_UNKNOWN = """
select
    (select count(*) from replay_steps where change = 'only now') as only_now,
    (select count(*) from echo) as lost,
    (select count(*) from live) as open,
    (
        select count(*)
        from past.enrollments as e
        semi join replay_entry as r on e.lead_id = r.lead_id
        anti join replay_entry as o on e.enrollment_id = o.enrollment_id
        where e.sequence_id = $id and e.origin = 'live'
    ) as later,
    (
        select count(*)
        from past.enrollment_pauses as p
        semi join replay_entry as e on p.enrollment_id = e.enrollment_id
        where p.resumed_at is not null
    ) as resumed,
    (select count(*) from past.pauses) as paused
"""


@dataclass(frozen=True)
class Replay:
    """A replay beside the past. Change is same, earlier, later, only before, only now, otherwise.

    Attributes:
        leads: how many entered the sequence, before and now.
        outcomes: rows of step_id, outcome, reason, before, now (numbers of leads).
        changes: number of decisions about a step by change; `otherwise` = not sent on either side,
            for another reason.
        first_contacts: number of leads by what became of their first message.
        differences: a row per lead and step that differs, in the order of leads.
        cannot_know: what a replay cannot tell, in sentences.
        ticks: moments at which the engine was run.
        seconds: how long it took.
    """

    sequence_id: str
    since: datetime
    until: datetime
    leads: dict[str, int]
    outcomes: list[dict[str, Any]]
    changes: dict[str, int]
    first_contacts: dict[str, int]
    differences: list[dict[str, Any]]
    cannot_know: list[str]
    ticks: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the replay as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Period:
    """The time that is lived again, and whom the sequence takes: those it took, or by its rule."""

    since: datetime
    until: datetime
    by_rule: bool


def replay(
    settings: Settings,
    sequence: str,
    *,
    file: Path | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    by_rule: bool = False,
    progress: Callable[[datetime], None] = lambda moment: None,
) -> Replay:
    """Live through the recorded past of a sequence with its file as it stands, or another.

    Args:
        settings: home and sequences.
        sequence: id of the sequence whose past it is.
        file: another file for it; None = the one in the sequences folder.
        since: leads that entered before are left out; None = from the first.
        until: nothing later is lived; None = until the last recorded tick.
        by_rule: the file's rule chooses among the leads as they are known today; else whoever was
            really enrolled enters again at the same moment.
        progress: told the moment after each tick.

    Raises:
        DripError: no such sequence, no history, a broken file.
    """
    began = time.perf_counter()
    with open_private(settings.home, settings.memory_limit, copy=False) as stage:
        workspace, compiled = _load_sequence(settings.sequences, sequence, file, stage.home)
        period = _attach_past(settings.home, stage, sequence, since, until, by_rule=by_rule)
        lived = _Again(stage, settings, workspace, _as_replayed(compiled, period), period)
        count = lived.run(progress)
        run_file(stage.con, _HERE / "replay_compare.sql", until=period.until)
        return Replay(
            sequence_id=sequence,
            since=period.since,
            until=period.until,
            **_read(stage.con),
            cannot_know=_cannot_know(stage.con, compiled, period),
            ticks=count,
            seconds=time.perf_counter() - began,
        )


def _load_sequence(
    folder: Path, sequence: str, file: Path | None, private: Path
) -> tuple[Workspace, CompiledSequence]:
    """Read the sequence; another file as if it stood in the folder, with its templates."""
    if file is not None:
        if not file.is_file():
            raise DripError(f"{file} does not exist. Name a sequence, or a file to try.")
        twin = private / "sequences"
        shutil.copytree(folder, twin)
        shutil.copyfile(file, twin / f"{sequence}.yml")
        folder = twin
    workspace, sequences = load_files(folder)
    found = next((s for s in sequences if s.sequence_id == sequence), None)
    if found is None:
        known = ", ".join(s.sequence_id for s in sequences) or "none"
        raise DripError(f"There is no sequence {sequence!r}. Sequences: {known}.")
    return workspace, found


def _as_replayed(sequence: CompiledSequence, period: Period) -> CompiledSequence:
    """Return the sequence as it runs here: alone, active, and with its recorded leads if asked."""
    alone = replace(sequence, status="active", campaign=None)
    # The leads come one by one when they really entered, so everybody who is there may.
    if period.by_rule:
        return alone
    return replace(
        alone, enroll_when_sql="true", enroll_event=None, max_leads=None, reenter="never"
    )


def _attach_past(
    home: Path,
    stage: Stage,
    sequence: str,
    since: datetime | None,
    until: datetime | None,
    *,
    by_rule: bool,
) -> Period:
    path = stage.home / "past.duckdb"
    copy_ledger(home, path)
    # DuckDB takes no parameter here; the path is ours.
    text = str(path).replace("'", "''")
    stage.con.execute(f"attach '{text}' as past (read_only)")
    first, last = stage.con.execute(
        """
        select
            (
                select min(enrolled_at)
                from past.enrollments
                where sequence_id = $id and origin = 'live'
            ),
            (select max(started_at) from past.jobs where job = 'tick')
        """,
        {"id": sequence},
    ).fetchall()[0]
    if last is None or (first is None and not by_rule):
        raise DripError(
            f"{sequence} has no history of its own: nobody was enrolled in it. "
            "Use `drip forecast` for what it will do."
        )
    period = Period(since or first or last, until or last + _INSTANT, by_rule)
    run_file(
        stage.con,
        _HERE / "replay_load.sql",
        replayed=sequence,
        since=period.since,
        until=period.until,
        by_rule=by_rule,
    )
    return period


class _Again(Rehearsal):
    """A rehearsal in which the recorded leads and events come, and providers answer as they did."""

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        workspace: Workspace,
        sequence: CompiledSequence,
        period: Period,
    ) -> None:
        super().__init__(stage, settings, workspace, (sequence,))
        self._period = period
        self._slot = choose_slot((sequence,))
        self._count_changes = 0
        rows = stage.con.execute("select * from recorded_tick order by moment").fetchall()
        self._recorded: list[datetime] = [moment for moment, _ in rows]
        self._waited_from = {moment: since for moment, since in rows if since is not None}
        self._patience = self._choose_patience()

    def _choose_patience(self) -> timedelta:
        """Return how long something usually waited for a tick: the 95th percentile, or an hour."""
        waits = sorted(moment - since for moment, since in self._waited_from.items())
        usual = waits[int(0.95 * (len(waits) - 1))] if waits else timedelta(0)
        return max(_PATIENCE, usual)

    def bring(self, con: duckdb.DuckDBPyConnection, now: datetime) -> bool:
        """Bring what has come since the last tick."""
        if not fetch_value(con, _HAS_COME, {"now": now}):
            return super().bring(con, now)
        self._count_changes += 1
        run_file(con, _HERE / "replay_arrive.sql", now=now, change_no=self._count_changes)
        return False

    def read_answers(self, con: duckdb.DuckDBPyConnection, now: datetime) -> int:
        """Answer the last chunk as the providers did."""
        if self.count_chunk:
            run_file(con, _HERE / "replay_answer.sql", now=now)
        return self.count_chunk

    def run(self, progress: Callable[[datetime], None]) -> int:
        """Live through the period; return the number of ticks."""
        count, last = 0, self._period.since - self._slot
        due: datetime | None = None
        while (moment := self._next_moment(due, last)) is not None:
            due = self.tick_at(moment)
            progress(moment)
            count, last = count + 1, moment
        return count

    def _next_coming(self) -> datetime | None:
        moment: datetime | None = fetch_value(self.con, _NEXT_COMING)
        return moment

    def _next_moment(self, due: datetime | None, last: datetime) -> datetime | None:
        """Return when the past would have ticked for what is due or comes next; None = never."""
        wishes = [moment for moment in (due, self._next_coming()) if moment is not None]
        if not wishes:
            return None
        wish = max(min(wishes), last + _INSTANT, self._period.since)
        moment = self._as_recorded(wish) or max(wish, last + self._slot)
        return moment if moment < self._period.until else None

    def _as_recorded(self, wish: datetime) -> datetime | None:
        """Return the recorded tick that would have dealt with it; None = it would have had its own.

        Soon enough, or after a silence in which something is known to have waited.
        """
        place = bisect_left(self._recorded, wish)
        if place == len(self._recorded):
            return None
        recorded = self._recorded[place]
        if recorded - wish <= self._patience or wish >= self._waited_from.get(recorded, recorded):
            return recorded
        return None


def _read(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    def counts(table: str) -> dict[str, int]:
        rows: list[tuple[str, int]] = (
            con.table(table).aggregate("change, count(*) as n").order("change").fetchall()
        )
        return {change: int(n) for change, n in rows}

    outcomes = con.sql(
        """
        select
            step_id,
            outcome,
            reason,
            count(*) filter (where side = 'before') as before,
            count(*) filter (where side = 'now') as now
        from (
            select 'before' as side, step_id, outcome_before as outcome, reason_before as reason
            from replay_steps
            union all
            select 'now', step_id, outcome_now, reason_now
            from replay_steps
        )
        where outcome is not null
        group by step_id, outcome, reason
        order by step_id, outcome, reason
        """
    ).pl()
    differences = con.sql(
        "select * from replay_steps where change != 'same' "
        "order by lead_id, coalesce(before_at, now_at), step_id"
    ).pl()
    return {
        "leads": {
            "before": int(fetch_value(con, "select count(*) from replay_entry")),
            "now": int(fetch_value(con, "select count(*) from enrollments")),
        },
        "outcomes": outcomes.to_dicts(),
        "changes": counts("replay_steps"),
        "first_contacts": counts("replay_firsts"),
        "differences": differences.to_dicts(),
    }


def _cannot_know(
    con: duckdb.DuckDBPyConnection, sequence: CompiledSequence, period: Period
) -> list[str]:
    numbers = con.sql(_COUNT_UNKNOWN, params={"id": sequence.sequence_id}).pl().to_dicts()[0]
    changed = _changed_words(con, sequence)
    told = [
        (
            numbers["only_now"],
            f"{numbers['only_now']} messages were never sent: what anybody would have done with "
            "them is not known, so nobody reacts to them.",
        ),
        (
            numbers["lost"],
            f"{numbers['lost']} recorded reactions hang on messages that were not sent again: they "
            "are left out, and what those people would have done instead is not known.",
        ),
        (
            changed,
            f"The words of {', '.join(changed)} are not those that were sent; the reactions to "
            "them are kept as if they were.",
        ),
        (
            True,
            "A reaction to a message comes as long after it as it really did; events known by "
            "address come when they came.",
        ),
        (
            True,
            "Leads have the attributes, addresses and zones of today: what they were is not "
            "recorded.",
        ),
        (True, "Other sequences' messages stand as they were."),
        (
            sequence.calendar.prefers_hours,
            "Preferred hours are drawn by the scores of the last refresh, not by those of then.",
        ),
        (
            True,
            "Between recorded ticks the engine is taken to have been awake, unless something is "
            "known to have waited.",
        ),
        (
            numbers["open"],
            f"{numbers['open']} leads are still under way when the replay ends, at "
            f"{period.until:%Y-%m-%d %H:%M} UTC (`--until` lets it go on).",
        ),
        (
            not period.by_rule,
            "Whoever was really enrolled enters at the same moment, whatever the rule says now "
            "(`--by-rule` lets it choose).",
        ),
        (numbers["later"], f"{numbers['later']} later enrollments of these leads are left out."),
        (
            numbers["resumed"],
            f"{numbers['resumed']} enrollments were resumed by a person; here they stay paused.",
        ),
        (numbers["paused"], f"{numbers['paused']} pauses by an operator are not lived again."),
    ]
    return [sentence for holds, sentence in told if holds]


def _changed_words(con: duckdb.DuckDBPyConnection, sequence: CompiledSequence) -> list[str]:
    """Name the steps that went out with other words than the file has now."""
    versions = con.execute(
        "select distinct v.definition from past.sequence_versions as v "
        "semi join past.sends as d on v.version_id = d.version_id "
        "where v.sequence_id = ? and v.origin = 'live'",
        [sequence.sequence_id],
    ).fetchall()
    sent: dict[str, set[str]] = {}
    for (definition,) in versions:
        for step in compile_from_json(sequence.sequence_id, definition):
            sent.setdefault(step.step_id, set()).add(_words(step))
    return [
        step.step_id
        for step in sequence.steps
        if step.channel and step.step_id in sent and sent[step.step_id] != {_words(step)}
    ]


def _words(step: CompiledStep) -> str:
    arms: Sequence[Any] = step.experiment.variants if step.experiment else ()
    return repr((sorted(step.content.items()), [(v.arm, sorted(v.content.items())) for v in arms]))
