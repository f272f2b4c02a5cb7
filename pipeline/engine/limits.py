"""Which contacts find no place now, pass by pass, each over the survivors of the last (R10, R11).

Belongs here: the quotas as the files say them, the days and hours they count in, the order of the
passes. Does not: what becomes of who is postponed (`plan_outcomes.sql`), the contacts for life
(`plan_verdicts.sql`), refusing enrollments (`enroll`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipeline.engine.programme import Programme
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.calendars import local_to_utc
from pipeline.sequences.compiled import CompiledSequence
from pipeline.sequences.model import SenderLimits, WarmUp, Workspace

_HERE = Path(__file__).parent
QUOTA_PASSES = ("sequence", "domain", "sender")
"""The passes in which many queue up before one key, in their order."""

# A claim that a pause took back goes by the sender of its send, whatever the step says now.
_IS_CLAIMED_ANEW = "select exists (from reachable where status = 'waiting' and send_id is not null)"
_SENDERS_OF_CLAIMED = """
update reachable
set sender = s.sender
from sends as s
where reachable.status = 'waiting' and reachable.send_id = s.send_id
"""
_QUOTA_SCHEMA = {
    "pass": pl.String,
    "key": pl.String,
    "per_day": pl.Int64,
    "per_hour": pl.Int64,
}

_LEAD_SCHEMA = {
    "sequence_id": pl.String,
    "per_day": pl.Int64,
    "per_week": pl.Int64,
    "gap_seconds": pl.Int64,
}
_DAY_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "local_on": pl.Date,
    "starts_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class Clock:
    """The day and the hour of a workspace that a moment falls in, as instants.

    A day of the clock change has 23 or 25 hours; an hour is always one of elapsed time, from a full
    hour of the wall clock.
    """

    zone: str
    today: date
    day_start: datetime
    tomorrow: datetime
    hour_start: datetime
    next_hour: datetime

    @classmethod
    def read(cls, zone: str, now: datetime) -> "Clock":
        """Read the clock of a zone.

        >>> from datetime import UTC
        >>> clock = Clock.read("America/New_York", datetime(2026, 3, 8, 12, 20, tzinfo=UTC))
        >>> clock.tomorrow - clock.day_start
        datetime.timedelta(seconds=82800)
        """
        local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        hour_start = now - (local - local.replace(minute=0, second=0, microsecond=0))
        return cls(
            zone=zone,
            today=local.date(),
            day_start=local_to_utc(midnight, zone),
            tomorrow=local_to_utc(midnight + timedelta(days=1), zone),
            hour_start=hour_start,
            next_hour=hour_start + timedelta(hours=1),
        )


@dataclass(frozen=True)
class Usage:
    """How much of one limit is used: of sequence, domain or sender `key`, in this day or hour.

    Key `*` stands for the fullest of the domains that are not named.
    """

    kind: str
    key: str
    period: str
    used: int
    cap: int


def read_usage(
    con: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    sequences: Iterable[CompiledSequence],
    now: datetime,
) -> list[Usage]:
    """Return the use of every limit of the workspace's day and hour, in the order of the passes."""
    clock = Clock.read(workspace.timezone, now)
    quotas = list(read_quotas(con, workspace, sequences, clock))
    if not quotas:
        return []
    con.register("quota", pl.DataFrame(quotas, schema=_QUOTA_SCHEMA, orient="row"))
    _count_today(con, clock)
    run_file(
        con, _HERE / "limits_usage.sql", day_start=clock.day_start, hour_start=clock.hour_start
    )
    rows = con.execute("select * from usage order by place, key").fetchall()
    con.unregister("quota")
    return [
        Usage(kind, key, period, used, cap)
        for _, kind, key, per_day, per_hour, in_day, in_hour in rows
        for period, used, cap in (("day", in_day, per_day), ("hour", in_hour, per_hour))
        if cap is not None
    ]


def apply_limits(con: duckdb.DuckDBPyConnection, programme: Programme, now: datetime) -> None:
    """Create `postponed_by_limits` (enrollment_id, reason, until_at) from `reachable`.

    A pass runs only where a file sets a limit of its kind.
    """
    con.execute(
        "create or replace temp table postponed_by_limits "
        "(enrollment_id bigint, reason varchar, until_at timestamptz)"
    )
    if fetch_value(con, _IS_CLAIMED_ANEW):
        con.execute(_SENDERS_OF_CLAIMED)
    _apply_lead_limits(con, programme, now)
    _apply_campaigns(con, programme)
    clock = Clock.read(programme.workspace.timezone, now)
    quotas = list(read_quotas(con, programme.workspace, programme.sequences, clock))
    if not quotas:
        return
    con.register("quota", pl.DataFrame(quotas, schema=_QUOTA_SCHEMA, orient="row"))
    _count_today(con, clock)
    passes = {name for name, *_ in quotas}
    for name in QUOTA_PASSES:
        if name in passes:
            run_file(
                con,
                _HERE / "limits_quota.sql",
                pass_name=name,
                day_start=clock.day_start,
                hour_start=clock.hour_start,
            )
    con.unregister("quota")


def _apply_lead_limits(con: duckdb.DuckDBPyConnection, programme: Programme, now: datetime) -> None:
    limits = list(read_lead_limits(programme))
    if all(limit is None for _, *row in limits for limit in row):
        return
    con.register("lead_limit", pl.DataFrame(limits, schema=_LEAD_SCHEMA, orient="row"))
    _register_days(con, now)
    longest_gap = max(timedelta(seconds=gap or 0) for *_, gap in limits)
    # Seven dates of any zone lie within nine days.
    run_file(con, _HERE / "limits_lead.sql", since=now - max(longest_gap, timedelta(days=9)))
    last_place = fetch_value(con, "select coalesce(max(place), 0) from lead_asking")
    for place in range(1, last_place + 1):
        run_file(con, _HERE / "limits_lead_place.sql", place=place, last_place=last_place)
    con.unregister("lead_limit")
    con.unregister("zone_day")


def _apply_campaigns(con: duckdb.DuckDBPyConnection, programme: Programme) -> None:
    members = [
        (sequence.sequence_id, sequence.campaign)
        for sequence in programme.sequences
        if sequence.campaign is not None and not sequence.overlap
    ]
    if len(members) == len({campaign for _, campaign in members}):
        return
    schema = {"sequence_id": pl.String, "campaign": pl.String}
    con.register("campaign_member", pl.DataFrame(members, schema=schema, orient="row"))
    run_file(con, _HERE / "limits_campaign.sql")
    con.unregister("campaign_member")


def limits_reach(programme: Programme) -> timedelta:
    """Return how far from today a limit of today can postpone, at most."""
    limits = list(read_lead_limits(programme))
    if all(limit is None for _, *row in limits for limit in row):
        # Tomorrow, in any zone.
        return timedelta(days=3)
    return max(timedelta(days=11), *(timedelta(seconds=gap or 0, days=2) for *_, gap in limits))


def _register_days(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Register `zone_day`: when the days begin on which a lead's limits free."""
    zones = con.execute("select distinct zone from zone_now order by zone").fetchall()
    rows = []
    for (zone,) in zones:
        local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        # A week from a day that is two ahead of ours in another zone.
        days = (midnight + timedelta(days=number) for number in range(10))
        rows += [(zone, day.date(), local_to_utc(day, zone)) for day in days]
    con.register("zone_day", pl.DataFrame(rows, schema=_DAY_SCHEMA, orient="row"))


def read_lead_limits(
    programme: Programme,
) -> Iterator[tuple[str, int | None, int | None, int | None]]:
    """Yield (sequence, contacts per day, per week, seconds between two); `*` is the workspace."""
    house = programme.workspace.limits
    yield "*", house.lead_per_day, house.lead_per_week, house.contact_gap
    for sequence in programme.sequences:
        own = sequence.limits
        yield (
            sequence.sequence_id,
            own.lead_per_day,
            own.lead_per_week,
            own.contact_gap_seconds,
        )


def _count_today(con: duckdb.DuckDBPyConnection, clock: Clock) -> None:
    con.execute(
        """
        create or replace temp table counted as
        select v.sequence_id, c.sender, c.recipient_domain, c.claimed_at
        from contacts_since($since) as c
        inner join sequence_versions as v on c.version_id = v.version_id
        """,
        {"since": min(clock.day_start, clock.hour_start)},
    )


def read_quotas(
    con: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    sequences: Iterable[CompiledSequence],
    clock: Clock,
) -> Iterator[tuple[str, str, int | None, int | None]]:
    """Yield (pass, key, contacts per day, contacts per hour) of every limit in force now."""
    for sequence in sequences:
        limits = sequence.limits
        if limits.per_day is not None or limits.per_hour is not None:
            yield "sequence", sequence.sequence_id, limits.per_day, limits.per_hour
    yield from _domain_quotas(workspace)
    for name, sender in workspace.senders.items():
        per_day = _sender_per_day(con, name, sender.limits, clock)
        if per_day is not None or sender.limits.per_hour is not None:
            yield "sender", name, per_day, sender.limits.per_hour


def _domain_quotas(workspace: Workspace) -> Iterator[tuple[str, str, int | None, int | None]]:
    per_day, per_hour = workspace.limits.domain_per_day, workspace.limits.domain_per_hour
    for domain in sorted(per_day.keys() | per_hour.keys()):
        # Named in one list only, a domain is one of the others in the other list.
        yield (
            "domain",
            domain,
            per_day.get(domain, per_day.get("*")),
            per_hour.get(domain, per_hour.get("*")),
        )


def _sender_per_day(
    con: duckdb.DuckDBPyConnection, name: str, limits: SenderLimits, clock: Clock
) -> int | None:
    ramp = limits.warm_up
    if ramp is None or limits.per_day is None:
        return limits.per_day
    first_on = ramp.from_ or _first_day(con, name, clock)
    return warm_up_cap(ramp, limits.per_day, (clock.today - first_on).days + 1)


def _first_day(con: duckdb.DuckDBPyConnection, sender: str, clock: Clock) -> date:
    first_at: datetime | None = fetch_value(
        con, "select min(claimed_at) from sends where sender = ? and origin = 'live'", [sender]
    )
    # Who has sent nothing yet begins today.
    return first_at.astimezone(ZoneInfo(clock.zone)).date() if first_at else clock.today


def warm_up_cap(ramp: WarmUp, per_day: int, day: int) -> int:
    """Return what a sender may send on a day of its warm-up, from 1; before it as on the first.

    >>> ramp = WarmUp.model_validate({"start": 20, "growth": 1.5})
    >>> [warm_up_cap(ramp, 100, day) for day in (0, 1, 2, 3, 4, 5, 5000)]
    [20, 20, 30, 45, 67, 100, 100]
    """
    cap = Decimal(ramp.start)
    growth = Decimal(str(ramp.growth))
    for _ in range(day - 1):
        if cap >= per_day or growth == 1:
            break
        cap *= growth
    return min(int(cap), per_day)
