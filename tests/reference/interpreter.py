"""The rules a second time: one lead at a time, plain Python, no database.

This is the specification that the engine is tested against. It is written from the rules (R1 to R20,
named where they apply), not from the engine's statements. Ids that only the ledger can give (leads,
enrollments) come in as `Names`; everything else it finds out by itself.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.worlds import (
    DEFAULT_REACTIONS,
    QUIET,
    SAID,
    WORKSPACE_ZONE,
    Arm,
    Beat,
    Calendar,
    Condition,
    Delay,
    Happening,
    Lead,
    Sequence,
    Step,
    Test,
    World,
    address_of,
    is_reached,
    occurred_at,
    received_at,
)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
JUDGED_AFTER = timedelta(seconds=10)
# A send whose flow has gone on: it was handed over, or may have been (R9).
CONTROLS = ("branch", "end", "wait", "wait_for")
# Work for somebody is no contact: it needs no address and no cap counts it (R10).
NO_CONTACTS = ("task", "webhook")
# Contacts that go where no address of the lead is needed.
FIXED_PLACES = ("form",)
CONTACTED = ("handed_over", "unknown")


# Wall clocks (R2, R3) -------------------------------------------------------------------------------


def wall(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=100_000)
def first_instant(local: datetime, zone: str) -> datetime:
    """The first instant at which the wall clock shows this time, or a later one (in a gap)."""
    quarter = timedelta(minutes=15)
    utc = local.replace(tzinfo=UTC)
    # Quarters of an hour from a day before: clocks are only changed on one.
    earlier = utc - timedelta(hours=26)
    earlier -= timedelta(
        minutes=earlier.minute % 15, seconds=earlier.second, microseconds=earlier.microsecond
    )
    while wall(earlier + quarter, zone) < local:
        earlier += quarter
    found = earlier + (local - wall(earlier, zone))
    return min(found, earlier + quarter)


def first_open(calendar: Calendar, zone: str, moment: datetime) -> datetime:
    """The first instant at or after a moment inside a window and outside quiet hours (R3)."""
    every_day = Calendar(hours=calendar.quiet)
    while True:
        found = first_in_window(calendar, zone, moment)
        today = wall(found, zone).date()
        ends = [
            until
            for offset in (-2, -1, 0, 1)
            for begins, until in windows_of(every_day, zone, today + timedelta(days=offset))
            if begins <= found < until
        ]
        if not ends:
            return found
        moment = max(ends)


def first_in_window(calendar: Calendar, zone: str, moment: datetime) -> datetime:
    day = wall(moment, zone).date() - timedelta(days=2)
    while True:
        found = [
            max(opens, moment)
            for opens, closes in windows_of(calendar, zone, day)
            if moment < closes and opens < closes
        ]
        if found:
            return min(found)
        day += timedelta(days=1)


@lru_cache(maxsize=100_000)
def windows_of(calendar: Calendar, zone: str, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """The windows that belong to a day: those that open on it."""
    if DAYS[day.weekday()] not in calendar.days or is_holiday(calendar, day):
        return ()
    found = []
    for text in calendar.hours:
        opens, closes = (
            timedelta(hours=int(part[:2]), minutes=int(part[3:])) for part in text.split("-")
        )
        if closes <= opens:
            closes += timedelta(days=1)
        midnight = datetime.combine(day, time())
        found.append(
            (first_instant(midnight + opens, zone), first_instant(midnight + closes, zone))
        )
    return tuple(found)


# Written down from the laws and an almanac, not asked of the library that the engine asks.
ALMANAC = {
    "US": """
        2026-01-01 2026-01-19 2026-02-16 2026-05-25 2026-06-19 2026-07-03 2026-07-04 2026-09-07
        2026-10-12 2026-11-11 2026-11-26 2026-12-25 2027-01-01 2027-01-18 2027-02-15 2027-05-31
        2027-06-18 2027-06-19 2027-07-04 2027-07-05 2027-09-06 2027-10-11 2027-11-11 2027-11-25
        2027-12-24 2027-12-25 2027-12-31 2028-01-01 2028-01-17 2028-02-21 2028-05-29 2028-06-19
        2028-07-04 2028-09-04 2028-10-09 2028-11-10 2028-11-11 2028-11-23 2028-12-25
    """,
    "DE-BY": """
        2026-01-01 2026-01-06 2026-04-03 2026-04-06 2026-05-01 2026-05-14 2026-05-25 2026-06-04
        2026-10-03 2026-11-01 2026-12-25 2026-12-26 2027-01-01 2027-01-06 2027-03-26 2027-03-29
        2027-05-01 2027-05-06 2027-05-17 2027-05-27 2027-10-03 2027-11-01 2027-12-25 2027-12-26
        2028-01-01 2028-01-06 2028-04-14 2028-04-17 2028-05-01 2028-05-25 2028-06-05 2028-06-15
        2028-10-03 2028-11-01 2028-12-25 2028-12-26
    """,
}
HOLIDAYS = {name: text.split() for name, text in ALMANAC.items()}


def is_holiday(calendar: Calendar, day: date) -> bool:
    """A holiday is a local date: on it no window opens, and it is no business day."""
    text = day.isoformat()
    return any(
        text in HOLIDAYS.get(name, ()) or text == name or text[5:] == name
        for name in calendar.holidays
    )


def later_by(anchor: datetime, delay: Delay, zone: str, calendar: Calendar) -> datetime:
    """R2: minutes and hours elapse; days, weeks and business days keep the wall time."""
    if delay.unit in ("m", "h"):
        return anchor + timedelta(minutes=delay.amount * (60 if delay.unit == "h" else 1))
    local = wall(anchor, zone)
    if delay.unit in ("d", "w"):
        return first_instant(
            local + timedelta(days=delay.amount * (7 if delay.unit == "w" else 1)), zone
        )
    for _ in range(delay.amount):
        local += timedelta(days=1)
        while local.weekday() in (5, 6) or is_holiday(calendar, local.date()):
            local += timedelta(days=1)
    return first_instant(local, zone)


def fraction(*words: object) -> float:
    """52 bits of a hash of words, as a number from 0 to 1."""
    text = ":".join(map(str, words)).encode()
    return int(hashlib.md5(text).hexdigest()[:13], 16) / 2**52


# What there is --------------------------------------------------------------------------------------


@dataclass
class Names:
    """What only the ledger can know: its salt, and ids by which ties are broken and arms drawn."""

    salt: str
    leads: dict[str, int]
    enrollments: dict[tuple[str, str, int], int]


@dataclass
class Person:
    name: str
    source: str
    email: bool
    phone: str | None
    country: str | None
    timezone: str | None
    plan: str | None
    created_at: datetime


@dataclass(frozen=True)
class Contact:
    """What takes a place of a limit: when, and on which day of the lead's (R11)."""

    at: datetime
    local_on: date


@dataclass
class Send:
    journey: "Journey"
    step: Step
    variant: str | None
    channel: str
    sender: str
    claimed_at: datetime
    slot_at: datetime
    zone: str
    local_on: date
    outcomes: list[tuple[Any, ...]] = field(default_factory=list)
    domain: str | None = None
    # The claim that counts, if one does (R10): the latest, unless it was taken back.
    counted: "Contact | None" = None
    # A call that was made before this one was asked for counts beside it.
    made: "Contact | None" = None

    @property
    def status(self) -> str:
        """The latest; a second call that was not made leaves the first one as it was."""
        told = [row[1] for row in self.outcomes]
        if told and told[-1] not in CONTACTED and "handed_over" in told:
            return "handed_over"
        return told[-1] if told else "claimed"

    @property
    def handed_over_at(self) -> datetime | None:
        return next((row[0] for row in self.outcomes if row[1] == "handed_over"), None)


@dataclass
class Journey:
    """One lead in one sequence."""

    person: Person
    sequence: str
    version: Sequence  # its steps and goal, as they were at enrollment (R19)
    version_no: int
    enrolled_at: datetime
    is_holdout: bool
    entry_no: int
    enrolled_by: str
    starts_at: datetime | None
    step: Step | None = None
    status: str = "waiting"  # waiting | in_flight | retry
    due_at: datetime = datetime.min.replace(tzinfo=UTC)
    slot_at: datetime = datetime.min.replace(tzinfo=UTC)
    anchor_at: datetime = datetime.min.replace(tzinfo=UTC)
    zone: str = ""
    arm: str | None = None
    attempts: int = 0
    send: Send | None = None
    sent: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    clicked: set[str] = field(default_factory=set)
    has_replied: bool = False
    has_converted: bool = False
    count_sends: int = 0
    paused_at: datetime | None = None
    resumes_at: datetime | None = None
    end: tuple[Any, ...] | None = None

    @property
    def is_live(self) -> bool:
        """Running, or ended while a claim is in somebody's hands."""
        return self.step is not None

    @property
    def trial(self) -> Arm | None:
        """What the arm of the open step changes; outside the test and without one, nothing."""
        arms = self.step.test.arms if self.step and self.step.test else ()
        return next((arm for arm in arms if arm.name == self.arm), None)

    @property
    def channel(self) -> str:
        """By which channel the open step goes."""
        if self.send:
            return self.send.channel
        assert self.step
        if self.step.kind == "best":
            # What is missing is replaced, an opt-out is not (R20).
            return "sms" if self.person.phone and not self.person.email else "email"
        return (self.trial and self.trial.channel) or self.step.kind

    @property
    def sender(self) -> str:
        """By whom: the arm's, else the step's own unless it goes by another channel."""
        if self.send:
            return self.send.sender
        assert self.step
        own = self.step.sender if self.channel == self.step.kind else None
        return (self.trial and self.trial.sender) or own or SENDERS[self.channel]

    def following(self, step: Step) -> Step | None:
        return dict(follow(self.version.steps, None))[step.name]


def follow(steps: tuple[Step, ...], after: Step | None) -> Iterator[tuple[str, Step | None]]:
    """What comes after each step: the next of its list, at the end what comes after the branch."""
    # No steps at all have one follower too many.
    for step, following in zip(steps, [*steps[1:], after], strict=False):
        yield step.name, following
        for way in step.ways:
            yield from follow(way.steps, following)


@dataclass
class Halt:
    """A pause of a sequence, or of everything (R6)."""

    sequence: str | None  # None = everything
    by: str  # operator | file | STOP
    paused_at: datetime
    resumed_at: datetime | None = None


@dataclass
class Event:
    what: Happening
    person: Person
    send: Send | None
    occurred_at: datetime
    received_at: datetime
    is_by_phone: bool
    verdict: str = "human"

    @property
    def callback_at(self) -> datetime | None:
        """The moment at which a lead wants to be called, if it names one."""
        hours = self.what.callback_hours
        return None if hours is None else self.occurred_at + timedelta(hours=hours)


@dataclass
class Suppression:
    person: Person
    channel: str | None
    reason: str
    created_at: datetime
    lifted_at: datetime | None = None


# A step that may go out as far as we know, with its slot; a limit's reason, and when it frees.
Survivor = tuple[Journey, Step, datetime]
Limit = tuple[str, datetime]


def full(
    name: str, taken: list[datetime], per_day: int | None, per_hour: int | None, now: datetime
) -> Limit | None:
    """Whether the places of the workspace's day, or of its hour, are taken."""
    local = wall(now, WORKSPACE_ZONE)
    midnight = datetime.combine(local.date(), time())
    today = first_instant(midnight, WORKSPACE_ZONE)
    if per_day is not None and sum(at >= today for at in taken) >= per_day:
        return f"{name}_cap", first_instant(midnight + timedelta(days=1), WORKSPACE_ZONE)
    hour = now - (local - local.replace(minute=0, second=0, microsecond=0))
    if per_hour is not None and sum(at >= hour for at in taken) >= per_hour:
        return f"{name}_hour_cap", hour + timedelta(hours=1)
    return None


@dataclass
class Request:
    """What somebody asks for, and what became of it."""

    what: Happening
    person: Person
    requested_at: datetime
    key: str
    starts_at: datetime | None = None
    outcome: tuple[Any, ...] | None = None

    @property
    def number(self) -> int:
        """Its id in the ledger, by which ties are broken."""
        digest = hashlib.md5(f"operator\x1fcommand\x1f{self.key}".encode()).digest()
        return int.from_bytes(digest[8:], "little") >> 1

    def refuse(self, now: datetime, reason: str) -> None:
        self.outcome = (now, "refused", reason)


class Interpreter:
    """Lives through one world, tick by tick."""

    def __init__(self, world: World, names: Names, start: datetime) -> None:
        self.world, self.names = world, names
        self.files: dict[str, Sequence] = {s.name: s for s in world.sequences}
        self.leads = {lead.name: lead for lead in world.leads}
        self.versions: dict[str, list[tuple[Any, ...]]] = {}
        self.people: dict[str, Person] = {}
        self.journeys: list[Journey] = []
        self.sends: list[Send] = []
        self.why: list[tuple[Any, ...]] = []
        self.pauses: list[list[Any]] = []
        self.halts: list[Halt] = []
        self.is_stopped = False
        self.events: list[Event] = []
        self.pending: list[Event] = []
        self.requests: list[Request] = []
        self.blocked: dict[str, datetime] = {}
        self.callers: list[list[Any]] = []  # event, sequence, when it counts; None = not a person's
        self.waiting: set[tuple[str, str]] = set()  # would enter, but for another of the campaign
        self.exits: set[tuple[str, str]] = set()  # were in it and do not fit the rule any more
        self.suppressions: list[Suppression] = []
        self.assignments: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.members: dict[tuple[str, str], tuple[int, datetime]] = {}
        self.tests: dict[str, tuple[Any, ...]] = {}
        self.hours: list[tuple[Any, ...]] = []  # journey, step, and the block that was drawn
        self.journal: list[tuple[Journey, str, str | None, datetime]] = []
        self.next_at: datetime | None = None
        self.now = self.before = start

    # The tick (design.md section 6) -----------------------------------------------------------------

    def tick(self, number: int, beat: Beat, now: datetime) -> None:
        self.now = now
        self.obey(number, beat, now)
        for edit in self.world.edits:
            if edit.beat == number:
                self.files.pop(edit.name, None)
                if edit.after:
                    self.files[edit.name] = edit.after
        self.register_tests()
        for name, sequence in self.files.items():
            content = (sequence.steps, sequence.goal)
            known = self.versions.get(name, [])
            if content not in known and (known or sequence.status != "draft"):
                self.versions[name] = [*known, content]
        self.resume(number, now)
        self.take_in(number, now)
        self.judge(now)
        self.resume_by_itself(now)
        self.look_at_files(now)
        self.end_archived(now)
        while True:
            if not beat.leaves:
                self.read_journal()
                # A bounce pauses from when it was told.
                self.resume_by_itself(now)
            self.enroll(now)
            self.plan(now)
            # What an end has made room for enters in the same tick.
            if not (not beat.leaves and self.hand_over(now)) and not self.has_freed():
                break
        self.next_at = self.find_next()
        if beat.leaves:
            self.let_other_dispatcher(beat, now)
        self.before = now

    def register_tests(self) -> None:
        """R13, R14: until somebody is drawn the last words count, afterwards the stored ones."""
        drawn = {name for name, _ in self.assignments}
        for file in self.files.values():
            if file.status == "draft":
                continue
            for step in every_step(file.steps):
                if step.test and step.test.name not in drawn:
                    self.tests[step.test.name] = definition(file.name, step)

    def is_void(self, journey: Journey, step: Step) -> bool:
        """Whether the step only has the id of a test, and says something else."""
        assert step.test
        return self.tests.get(step.test.name) != definition(journey.sequence, step)

    def find_next(self) -> datetime | None:
        """When the next tick has something to do; a claim in nobody's hands counts as long ago."""
        moments = [event.received_at + JUDGED_AFTER for event in self.pending]
        for _, name, counts_at in self.callers:
            if counts_at and self.takes_leads(name):
                moments.append(counts_at)
        for journey in self.journeys:
            if journey.is_live and journey.status == "in_flight":
                moments.append(datetime(1970, 1, 1, tzinfo=UTC))
            elif journey.is_live and self.is_running(journey) and not journey.paused_at:
                moments.append(journey.slot_at)
            if journey.is_live and journey.paused_at and journey.resumes_at and not journey.end:
                moments.append(journey.resumes_at)
        return min(moments, default=None)

    def is_running(self, journey: Journey) -> bool:
        # A file that is gone lets those in it finish, like an archived one.
        return not self.halts_over(journey.sequence)

    def calendar(self, journey: Journey) -> Calendar:
        file = self.files.get(journey.sequence)
        return file.calendar if file else GONE_CALENDAR

    def window(self, journey: Journey) -> Calendar:
        """The calendar of the open step: an arm may have hours of its own."""
        hours = journey.trial and journey.trial.hours
        calendar = replace(self.calendar(journey), quiet=QUIET.get(journey.channel, ()))
        return replace(calendar, hours=hours) if hours else calendar

    # What has landed --------------------------------------------------------------------------------

    def take_in(self, number: int, now: datetime) -> None:
        told = [what for what in self.world.happenings if what.kind != "resumes"]
        today = [what for what in told if what.beat == number]
        today.sort(key=lambda what: what.minutes_ago, reverse=True)
        for what in today:
            if what.kind == "arrives":
                self.add_person(self.leads[what.lead], received_at(what, now, self.before))
        for what in today:
            if what.kind == "changes" and what.lead in self.people:
                self.change_person(self.people[what.lead], dict(what.fields))
        fresh = []
        for what in today:
            if what.kind in ("arrives", "changes", "asks", "blocks"):
                continue
            event = self.find_event(what, received_at(what, now, self.before))
            # An event of somebody unknown is put aside; told twice it is still one event.
            if event:
                fresh.append(event)
        self.events += fresh
        self.classify(fresh)
        self.pending += [
            e for e in fresh if e.what.kind in ("opened", "clicked") and e.verdict == "human"
        ]
        for event in fresh:
            # R9: a later event of a message settles what was unknown.
            if event.send and event.send.outcomes[-1][1] == "unknown":
                at, _, _, attempt, _ = event.send.outcomes[-1]
                at += timedelta(microseconds=1)
                event.send.outcomes.append(
                    (at, "handed_over", "told by a later event", attempt, None)
                )
            self.suppress(event)
            self.count_event(event)
        self.lift()
        blocked = set(self.blocked)
        for what in today:
            if what.kind in ("asks", "blocks"):
                place = self.world.happenings.index(what)
                received = received_at(what, now, self.before)
                self.ask(what, received, f"{self.world.name}-{place}")
        self.react(fresh, now, [name for name in self.blocked if name not in blocked])
        self.call_back(fresh, now)

    def add_person(self, lead: Lead, received: datetime) -> None:
        self.people[lead.name] = Person(
            lead.name,
            lead.source,
            lead.has_email,
            lead.phone,
            lead.country,
            lead.zone,
            lead.plan,
            received - timedelta(hours=lead.age_hours),
        )

    def change_person(self, person: Person, fields: dict[str, str]) -> None:
        for name, value in fields.items():
            setattr(person, name, bool(value) if name == "email" else value)

    def find_event(self, what: Happening, received: datetime) -> Event | None:
        person = self.find_person(what)
        if person is None:
            return None
        send = None
        if what.nth is not None:
            answered = self.answered_sends(what.lead)
            send = answered[what.nth % len(answered)] if answered else None
            if send:
                person = send.journey.person
        is_by_phone = "phone" in address_of(what, self.leads[what.lead])
        answered = send.outcomes[-1][0] if send else None
        occurred = occurred_at(what, received, answered)
        return Event(what, person, send, occurred, received, is_by_phone)

    def answered_sends(self, lead: str) -> list[Send]:
        """What a lead got, as far as an answer was taken in: what events can be threaded to."""
        mine = [s for s in self.sends if s.journey.person.name == lead and s.status in CONTACTED]
        return sorted(
            mine, key=lambda s: (s.claimed_at, s.journey.sequence, s.step.name, s.journey.entry_no)
        )

    def find_person(self, what: Happening) -> Person | None:
        phone = address_of(what, self.leads[what.lead]).get("phone")
        if phone:
            # A phone that several have means the one who came first.
            same = [p for p in self.people.values() if p.phone == phone]
            by_age = sorted(same, key=lambda p: (p.created_at, self.names.leads[p.name]))
            return by_age[0] if by_age else None
        return self.people.get(what.lead)

    def classify(self, fresh: list[Event]) -> None:
        """Human, uncertain or machine (R5): opens and clicks of the messages that got new ones."""
        told = [e for e in self.events if e.what.kind in ("opened", "clicked")]
        units = {unit_of(event) for event in fresh if event in told}
        for unit in units:
            mine = [event for event in told if unit_of(event) == unit]
            news = min(event.received_at for event in fresh if event in mine)
            around = [e for e in mine if e.received_at >= news - timedelta(hours=1)]
            for event in around:
                verdict = judge_event(event, around)
                was_human, event.verdict = event.verdict == "human", verdict
                if event in fresh:
                    continue
                if was_human and verdict != "human":
                    self.pending = [e for e in self.pending if e is not event]
                elif verdict == "human" and not was_human:
                    self.pending.append(event)

    # Suppression (R20) ------------------------------------------------------------------------------

    def suppress(self, event: Event) -> None:
        if event.what.kind not in ("unsubscribed", "complained", "bounced"):
            return
        channel = channel_of(event)
        people = [event.person]
        if channel == "sms" and event.person.phone:
            # STOP holds for the number, whoever else has it.
            people = [p for p in self.people.values() if p.phone == event.person.phone]
        for person in people:
            row = Suppression(person, channel, event.what.kind, event.occurred_at)
            if row_key(row) not in {row_key(known) for known in self.suppressions}:
                self.suppressions.append(row)

    def lift(self) -> None:
        """Subscribing again lifts an unsubscribe that came before it, nothing else."""
        for row in self.suppressions:
            moments = [
                event.occurred_at
                for event in self.events
                if event.what.kind == "subscribed"
                and channel_of(event) == row.channel
                and is_same_recipient(event.person, row.person, row.channel)
                and event.occurred_at > row.created_at
            ]
            if row.reason == "unsubscribed" and moments:
                row.lifted_at = min(moments)

    def suppressed_by(self, journey: Journey) -> str | None:
        reasons = [
            row.reason
            for row in self.suppressions
            if row.person is journey.person
            and row.channel in (None, journey.channel)
            and not row.lifted_at
        ]
        return min(reasons, default=None)

    # Reactions (R6, R16, R20) -----------------------------------------------------------------------

    def react(self, fresh: list[Event], now: datetime, blocked: list[str]) -> None:
        for journey in self.journeys:
            if not journey.is_live or journey.end:
                continue
            mine = [event for event in fresh if self.concerns(event, journey)]
            journey.has_replied |= any(event.what.kind == "replied" for event in mine)
            journey.has_converted |= any(event.what.kind == "converted" for event in mine)
            # At one instant a conversion comes first.
            mine.sort(key=stop_order)
            reactions = [(self.reaction(journey, event.what.kind), event) for event in mine]
            stop = next((event for action, event in reactions if action == "stop"), None)
            if journey.person.name in blocked:
                # Nothing more ever: at one instant after a conversion, before the rest.
                at = max(self.blocked[journey.person.name], journey.enrolled_at)
                what = Happening(0, "do_not_contact", journey.person.name)
                block = Event(what, journey.person, None, at, at, is_by_phone=False)
                stop = min([stop, block] if stop else [block], key=stop_order)
            pauses = [(action, event) for action, event in reactions if "pause" in action]
            if stop:
                self.stop(journey, stop, now)
            elif pauses:
                self.pause(journey, pauses)

    def call_back(self, fresh: list[Event], now: datetime) -> None:
        """A lead names a moment: its last call is due again then, once, if nothing after it was
        decided; what follows waits for the second call."""
        for journey in self.journeys:
            if not journey.is_live or journey.end or journey.send:
                continue
            asked = [
                (event.occurred_at, event.callback_at)
                for event in fresh
                if event.what.kind == "callback_requested"
                and event.callback_at
                and event.person is journey.person
                and event.occurred_at >= journey.enrolled_at
                and (event.send is None or event.send.journey is journey)
            ]
            order = list(dict(follow(journey.version.steps, None)))
            decided = [
                order.index(row[3])
                for row in self.why
                if row[1:3] == key(journey)
                and row[0] >= journey.enrolled_at
                and row[4] != "postponed"
            ]
            calls = [s for s in self.sends if s.journey is journey and s.step.kind == "call"]
            last = max(calls, key=lambda s: order.index(s.step.name), default=None)
            if not asked or last is None or max(decided) > order.index(last.step.name):
                continue
            made = {row[3] for row in last.outcomes if row[1] in CONTACTED}
            if len(made) != 1:
                continue
            occurred_at, callback_at = min(asked)
            journey.step, journey.send, journey.status = last.step, last, "waiting"
            journey.due_at = journey.slot_at = max(callback_at, occurred_at)
            journey.anchor_at, journey.zone, journey.arm = now, last.zone, None
            journey.attempts = max(row[3] for row in last.outcomes)
            last.made, last.counted = last.counted, None

    def pause(self, journey: Journey, reasons: list[tuple[str, Event]]) -> None:
        """R6: until a person resumes, or, where every reason says for how long, until the last is over."""
        ends: list[datetime | None] = []
        for action, event in reasons:
            minutes = action.removeprefix("pause").removeprefix(" for ")
            ends.append(event.occurred_at + timedelta(minutes=int(minutes)) if minutes else None)
        if journey.paused_at:
            ends.append(journey.resumes_at)
        else:
            first = reasons[0][1]
            # Told late, it begins where the last pause ended: no time is given back twice.
            over = [row[2] for row in self.pauses if row[0] is journey]
            over += [h.resumed_at for h in self.halts if h.sequence in (None, journey.sequence)]
            journey.paused_at = max([first.occurred_at, *(end for end in over if end)])
            self.pauses.append([journey, journey.paused_at, None, first.what.kind])
        known = [end for end in ends if end is not None]
        journey.resumes_at = max(known) if len(known) == len(ends) else None

    def concerns(self, event: Event, journey: Journey) -> bool:
        if event.person is not journey.person or event.occurred_at < journey.enrolled_at:
            return False
        if event.what.kind == "converted":
            return event.what.goal == journey.version.goal
        if event.what.kind not in DEFAULT_REACTIONS:
            return False
        # What is threaded to a message acts on its enrollment only.
        return event.send is None or event.send.journey is journey

    def reaction(self, journey: Journey, kind: str) -> str:
        file = self.files.get(journey.sequence)
        return (DEFAULT_REACTIONS | dict(file.react if file else ()))[kind]

    def stop(self, journey: Journey, event: Event, now: datetime) -> None:
        if event.what.kind == "converted":
            self.end(journey, (event.occurred_at, "converted", event.what.goal), now)
        else:
            self.end(journey, (event.occurred_at, "exited", event.what.kind), now)

    def end_archived(self, now: datetime) -> None:
        """An archived file ends whoever is in it, unless it lets them finish."""
        for journey in self.journeys:
            file = self.files.get(journey.sequence)
            if file and file.status == "archived" and not file.drain and journey.is_live:
                self.end(journey, (now, "exited", "archived"), now)

    def end(self, journey: Journey, end: tuple[Any, ...], now: datetime) -> None:
        if journey.end:
            return
        journey.end = end
        if journey.status == "in_flight":
            return  # leaves when the claim is settled
        if journey.status == "retry":
            self.record(journey, now, "withdrawn", "ended")
        journey.step = None

    def judge(self, now: datetime) -> None:
        """R5: opens and clicks count when the burst around them can be judged."""
        for event in self.pending:
            if event.received_at + JUDGED_AFTER <= now and event.send:
                journey, step = event.send.journey, event.send.step.name
                if journey.is_live:
                    journey.opened.add(step)
                    if event.what.kind == "clicked":
                        journey.clicked.add(step)
        self.pending = [e for e in self.pending if e.received_at + JUDGED_AFTER > now]

    def resume(self, number: int, now: datetime) -> None:
        """R6: the open due time moves by the length of the pause."""
        for what in self.world.happenings:
            if what.kind != "resumes" or what.beat != number:
                continue
            for journey in self.journeys:
                is_meant = what.sequence in ("", journey.sequence)
                if (
                    is_meant
                    and journey.person.name == what.lead
                    and journey.is_live
                    and journey.paused_at
                ):
                    self.end_pause(journey, now)

    def resume_by_itself(self, now: datetime, sequence: str | None = None) -> None:
        """R6: at its moment, whenever the tick comes."""
        for journey in self.journeys:
            is_over = journey.resumes_at is not None and journey.resumes_at <= now
            is_meant = sequence in (None, journey.sequence)
            if is_over and is_meant and journey.paused_at and journey.is_live and not journey.end:
                self.end_pause(journey, journey.resumes_at or now)

    def end_pause(self, journey: Journey, at: datetime) -> None:
        paused_at, journey.paused_at, journey.resumes_at = journey.paused_at, None, None
        assert paused_at
        self.give_back(journey, paused_at, at)
        for pause in self.pauses:
            if pause[0] is journey and pause[2] is None:
                pause[2] = at

    def give_back(self, journey: Journey, paused_at: datetime, now: datetime) -> None:
        """R6: the open due time moves by the length of a pause that ends; what others still hold up
        is left to their ends, and a step that was opened meanwhile has waited for less.
        """
        others = [halt.paused_at for halt in self.halts_over(journey.sequence)]
        if journey.paused_at:
            others.append(journey.paused_at)
        since = max(paused_at, journey.anchor_at)
        length = max(min([now, *others]) - since, timedelta())
        journey.due_at += length
        journey.slot_at += length

    def halts_over(self, sequence: str) -> list[Halt]:
        return [
            halt
            for halt in self.halts
            if halt.resumed_at is None and halt.sequence in (None, sequence)
        ]

    def is_halted(self, sequence: str | None, by: str) -> bool:
        return any(
            halt.sequence == sequence and halt.by == by and halt.resumed_at is None
            for halt in self.halts
        )

    def halt(self, sequence: str | None, by: str, now: datetime) -> None:
        if not self.is_halted(sequence, by):
            self.halts.append(Halt(sequence, by, now))

    def lift_halt(self, sequence: str | None, by: str, now: datetime) -> None:
        for halt in self.halts:
            if (halt.sequence, halt.by, halt.resumed_at) == (sequence, by, None):
                halt.resumed_at = now
                for journey in self.journeys:
                    if journey.is_live and sequence in (None, journey.sequence):
                        self.give_back(journey, halt.paused_at, now)

    def obey(self, number: int, beat: Beat, now: datetime) -> None:
        """What operators do before a tick."""
        match beat.everything:
            case "pause":
                self.halt(None, "operator", now)
            case "stop":
                self.is_stopped = True
            case "resume":
                if self.is_stopped or self.is_halted(None, "operator"):
                    # What has ended by itself did so before.
                    self.resume_by_itself(now)
                self.is_stopped = False
                self.lift_halt(None, "STOP", now)
                self.lift_halt(None, "operator", now)
            case "go":
                self.is_stopped = False
        for order in self.world.orders:
            # A sequence that no tick has seen is refused.
            if order.beat == number and order.name in self.versions:
                if order.action == "pause":
                    self.halt(order.name, "operator", now)
                elif self.is_halted(order.name, "operator"):
                    self.resume_by_itself(now, order.name)
                    self.lift_halt(order.name, "operator", now)

    def look_at_files(self, now: datetime) -> None:
        """A file says paused, or the STOP file is there: seen at a tick, and gone at a tick."""
        if self.is_stopped:
            self.halt(None, "STOP", now)
        else:
            self.lift_halt(None, "STOP", now)
        for name in self.versions:
            file = self.files.get(name)
            if file and file.status in ("paused", "draft"):
                self.halt(name, "file", now)
            else:
                self.lift_halt(name, "file", now)

    # Enrolment (R12, R18) ---------------------------------------------------------------------------

    def ask(self, what: Happening, received: datetime, request_key: str) -> None:
        """Somebody asks: enroll this lead, or never contact it again."""
        person = self.find_person(what)
        if person is None:
            return
        request = Request(what, person, received, request_key)
        if what.kind == "blocks":
            request.outcome = (self.now, "done", None)
            row = Suppression(person, None, "do_not_contact", received)
            self.blocked.setdefault(person.name, received)
            if not any(r.person is person and r.channel is None for r in self.suppressions):
                self.suppressions.append(row)
        elif what.starts_in is not None:
            request.starts_at = received + timedelta(minutes=what.starts_in)
        self.requests.append(request)

    def count_event(self, event: Event) -> None:
        """An event that enrolls waits until it can be judged (R5), or its sequence runs again."""
        for file in self.files.values():
            trigger = file.event
            if trigger is None or file.status not in ("active", "paused"):
                continue
            name = "stage" if event.what.kind == "custom" else None
            is_meant = (
                event.what.kind == trigger.kind
                and trigger.name in (None, name)
                and trigger.value in (None, event.what.word)
                and (trigger.url or "").strip("*") in (event.what.url or "")
            )
            if is_meant:
                is_judged = event.what.kind in ("opened", "clicked")
                wait = JUDGED_AFTER if is_judged else timedelta()
                self.callers.append([event, file.name, event.received_at + wait])

    def enroll(self, now: datetime) -> None:
        """Sequences take their leads one after the other: by priority, then by name. Of those that
        enter together the older lead is the first, whoever enrolled it.
        """
        if self.is_stopped:
            return
        count_before = len(self.journeys)
        for request in self.requests:
            file = self.files.get(request.what.sequence)
            if request.outcome is None and (file is None or file.status in ("archived", "draft")):
                is_known = file is not None and file.name in self.versions
                request.refuse(now, "not_active" if is_known else "unknown_sequence")
        for file in sorted(self.files.values(), key=lambda f: (-f.priority, f.name)):
            if self.takes_leads(file.name):
                self.enroll_into(file, now)
        self.journeys[count_before:] = sorted(
            self.journeys[count_before:],
            key=lambda j: (j.person.created_at, self.names.leads[j.person.name]),
        )
        hour_ago = now - timedelta(hours=1)
        self.callers = [c for c in self.callers if c[2] or c[0].received_at >= hour_ago]

    def enroll_into(self, file: Sequence, now: datetime) -> None:
        requests = [
            r
            for r in self.requests
            if r.outcome is None and r.what.sequence == file.name and r.what.kind == "asks"
        ]
        for request in sorted(requests, key=lambda r: (r.requested_at, r.number)):
            reason = self.stopped_by(request.person, file, now, request=request)
            if reason is None and self.occupied(request.person, file):
                reason = "campaign"
            if reason is None and self.room(file) <= 0:
                reason = "max_leads"
            if reason:
                request.refuse(now, reason)
            else:
                starts_at = request.starts_at if (request.starts_at or now) > now else None
                self.enter(request.person, file, now, "hand", starts_at)
                request.outcome = (now, "enrolled", None)
        callers = self.called(file, now)
        for person in sorted(
            self.people.values(), key=lambda p: (p.created_at, self.names.leads[p.name])
        ):
            self.enroll_by_itself(person, file, now, callers)
        if file.reenter == "auto":
            for person in self.people.values():
                if self.entries(person, file) and not self.fits(person, file):
                    self.exits.add((person.name, file.name))

    def takes_leads(self, name: str) -> bool:
        file = self.files.get(name)
        return bool(file and file.status == "active" and not self.halts_over(name))

    def has_freed(self) -> bool:
        """Whether somebody who waits may enter now."""
        return any(
            self.takes_leads(name) and not self.occupied(self.people[person], self.files[name])
            for person, name in self.waiting
        )

    def called(self, file: Sequence, now: datetime) -> set[str]:
        """Whom an event of a person calls into a sequence."""
        called = set()
        for caller in list(self.callers):
            event, name, counts_at = caller
            if name != file.name or (counts_at and counts_at > now):
                continue
            if event.verdict == "human":
                called.add(event.person.name)
                self.callers.remove(caller)
            else:
                caller[2] = None
        return called

    def enroll_by_itself(
        self, person: Person, file: Sequence, now: datetime, callers: set[str]
    ) -> None:
        """By the rule, or by an event where the rule holds too."""
        place = (person.name, file.name)
        if file.event:
            is_new = person.name in callers and self.fits(person, file)
            is_free_now = place in self.waiting and not self.occupied(person, file)
            if not is_new and not (is_free_now and self.fits(person, file)):
                if is_free_now:
                    self.waiting.discard(place)
                return
        elif not self.fits(person, file):
            if not self.occupied(person, file):
                self.waiting.discard(place)
            return
        if not self.stopped_by(person, file, now):
            if self.occupied(person, file):
                # It waits; neither its chance nor its call is lost.
                self.waiting.add(place)
                return
            if self.room(file) > 0:
                self.enter(person, file, now, "event" if file.event else "rule", None)
        self.waiting.discard(place)
        self.exits.discard(place)

    def fits(self, person: Person, file: Sequence) -> bool:
        return person.source in file.sources and holds(file.only, person)

    def entries(self, person: Person, file: Sequence) -> list[Journey]:
        return [j for j in self.journeys if j.person is person and j.sequence == file.name]

    def stopped_by(
        self, person: Person, file: Sequence, now: datetime, request: "Request | None" = None
    ) -> str | None:
        """R18: who may not enter, whatever the campaign says."""
        entries = self.entries(person, file)
        if person.name in self.blocked:
            return "do_not_contact"
        if any(journey.end is None for journey in entries):
            return "running"
        if not entries:
            return None
        if not request and file.reenter == "never":
            return "once"
        last = max(journey.end[0] for journey in entries if journey.end)
        if last + timedelta(hours=file.cooldown_hours) > now:
            return "cooldown"
        if request:
            return None
        goals = [e.what.goal for e in self.events if e.person is person and is_sale(e)]
        if goals and file.goal in (None, *goals):
            return "converted"
        has_turned = (person.name, file.name) in self.exits
        return None if file.event or has_turned else "once"

    def occupied(self, person: Person, file: Sequence) -> bool:
        """Of a campaign a lead is in one sequence at a time; with `overlap` none is minded."""
        if file.campaign is None or file.overlap:
            return False
        for journey in self.journeys:
            other = self.files.get(journey.sequence)
            if (
                other
                and other.name != file.name
                and journey.person is person
                and journey.end is None
                and other.campaign == file.campaign
                and not other.overlap
            ):
                return True
        return False

    def room(self, file: Sequence) -> int:
        if file.max_leads is None:
            return 1
        inside = [j for j in self.journeys if j.sequence == file.name and not j.is_holdout]
        return file.max_leads - len(inside)

    def enter(
        self, person: Person, file: Sequence, now: datetime, by: str, starts_at: datetime | None
    ) -> None:
        salt, lead = self.names.salt, self.names.leads[person.name]
        is_holdout = (
            fraction(salt, "workspace_holdout", lead) < self.world.house.holdout_percent / 100
            or fraction(salt, "holdout", file.name, lead) < file.holdout_percent / 100
        )
        number = self.versions[file.name].index((file.steps, file.goal))
        entry_no = len(self.entries(person, file)) + 1
        journey = Journey(person, file.name, file, number, now, is_holdout, entry_no, by, starts_at)
        self.journeys.append(journey)
        self.go_to(journey, file.steps[0], starts_at or now)

    # The way through a sequence (R1, R2) ------------------------------------------------------------

    def go_to(self, journey: Journey, step: Step | None, settled_at: datetime) -> None:
        """What comes once the step before is settled."""
        if journey.end:
            journey.step = None
            return
        if step is None:
            self.finish(journey, settled_at, "completed", None)
            return
        zone = self.calendar(journey).zone
        if zone == "lead":
            zone = journey.person.timezone or self.calendar(journey).fallback
        journey.step, journey.status, journey.zone = step, "waiting", zone
        journey.arm, journey.send, journey.attempts = None, None, 0
        delay = step.after or Delay(0, "m")
        if step.test and step.test.varies != "content":
            # All but content is drawn as soon as the step before is settled (R13).
            journey.arm = self.draw(journey, step, step.test, settled_at)
            delay = (journey.trial and journey.trial.after) or delay
        start = journey.starts_at or journey.enrolled_at
        anchor = start if delay.since == "enrollment" else settled_at
        journey.anchor_at = settled_at
        journey.due_at = max(later_by(anchor, delay, zone, self.calendar(journey)), settled_at)
        journey.slot_at = journey.due_at

    def finish(self, journey: Journey, at: datetime, status: str, reason: str | None) -> None:
        journey.end = (at, status, reason)
        journey.step = None

    def draw(self, journey: Journey, step: Step, test: Test, at: datetime) -> str:
        """The arm (R13, R14): the stored one, else the one that the hash proposes, stored."""
        is_ghost = journey.is_holdout
        if self.is_void(journey, step):
            return "(holdout)" if is_ghost else test.control
        unit = self.unit(journey.person, test)
        key = (test.name, unit)
        file = self.files.get(journey.sequence)
        of_file = file.holdout_percent / 100 if file else 0.0
        holdout = 1 - (1 - self.world.house.holdout_percent / 100) * (1 - of_file)
        is_first = first_contact(journey.version.steps)
        has_held_out = bool(file and is_first and is_first.test is test and test.unit == "lead")
        if is_ghost and not has_held_out:
            return "(holdout)"
        if key in self.assignments:
            self.join(journey, test, unit, at)
            return self.assignments[key][0]
        if self.is_held_out_here(journey, step):
            # Ghosts as well: else the held-out group would be larger than its share.
            return "(holdout)" if is_ghost else test.control
        salt = self.names.salt
        is_outside = fraction(salt, "sample", test.name, unit) >= test.percent / 100
        place, arm = fraction(salt, test.name, unit), test.arms[-1]
        low = 0.0
        for one in test.arms:
            low += one.percent / 100
            if place < low:
                arm = one
                break
        name = "(holdout)" if journey.is_holdout else test.control if is_outside else arm.name
        if is_outside or (journey.is_holdout and not has_held_out):
            return name
        share = arm.percent / 100
        probability = share * (1 - holdout) if has_held_out else share
        if journey.is_holdout:
            probability = holdout
        drawn_by = journey.person.name
        self.assignments[key] = (name, round(probability, 9), at, "hash", drawn_by)
        self.join(journey, test, unit, at)
        return name

    def unit(self, person: Person, test: Test) -> int:
        """The lead, or its account: the one that it had when it came to the test."""
        lead = self.names.leads[person.name]
        if test.unit == "lead":
            return lead
        known = self.members.get((test.name, person.name))
        if known:
            return known[0]
        text = f"{self.names.salt}:account:{person.plan}".encode()
        return int(hashlib.md5(text).hexdigest()[:13], 16) if person.plan else lead

    def join(self, journey: Journey, test: Test, unit: int, at: datetime) -> None:
        if test.unit == "account":
            self.members.setdefault((test.name, journey.person.name), (unit, at))

    def is_held_out_here(self, journey: Journey, step: Step) -> bool:
        """R12: held out at this step alone; whoever was claimed for it before is not."""
        key = f"{journey.sequence}/{step.name}"
        lead = self.names.leads[journey.person.name]
        draw = fraction(self.names.salt, "step_holdout", key, lead)
        return journey.send is None and draw < step.holdout_percent / 100

    # Planning ---------------------------------------------------------------------------------------

    def plan(self, now: datetime) -> None:
        """Passes over everything that is due, until nothing is; messages wait behind all branches,
        so that a cap sees them together (R10).
        """
        while True:
            due = [
                j
                for j in self.journeys
                if j.is_live
                and (j.slot_at <= now or self.waited_for(j, now))
                and j.status != "in_flight"
                and not j.paused_at
                and self.is_running(j)
            ]
            if not due:
                return
            controls = [(j, j.step) for j in due if j.step and j.step.kind in CONTROLS]
            for journey, step in controls:
                self.pass_by(journey, step, now)
            if controls:
                continue
            messages = [(j, j.step) for j in due if j.step]
            survivors = [
                (journey, step, slot)
                for journey, step in messages
                if (slot := self.check(journey, step, now))
            ]
            for journey, step, slot in self.apply_limits(survivors, now):
                if self.is_ghost(journey, step):
                    reason = "holdout" if journey.is_holdout else "step_holdout"
                    self.note(now, journey, step, "held_out", reason)
                    self.finish(journey, now, "completed", "held_out")
                else:
                    self.claim(journey, step, now, slot)

    def is_ghost(self, journey: Journey, step: Step) -> bool:
        return journey.is_holdout or self.is_held_out_here(journey, step)

    def pass_by(self, journey: Journey, step: Step, now: datetime) -> None:
        """Branches and ends take no time (R1): they are settled at their due time."""
        following = journey.following(step)
        if step.kind == "wait":
            self.go_to(journey, following, journey.due_at)
        elif step.kind == "wait_for":
            happened = self.waited_for(journey, now)
            if happened or step.then == "continue":
                self.go_to(journey, following, happened or journey.due_at)
            else:
                self.finish(journey, journey.due_at, "exited", "timeout")
        elif step.when and not self.is_true(step.when, journey, now):
            self.go_to(journey, following, journey.due_at)
        elif step.kind == "end":
            reason = None if step.end == "completed" else step.end
            self.finish(journey, journey.due_at, "completed", reason)
        else:
            for way in step.ways:
                if way.when is None or self.is_true(way.when, journey, now):
                    following = way.steps[0] if way.steps else following
                    break
            self.go_to(journey, following, journey.due_at)

    def waited_for(self, journey: Journey, now: datetime) -> datetime | None:
        """When what an open wait waits for happened: by the time-out, and not before the wait (R1)."""
        step = journey.step
        if not step or step.kind != "wait_for":
            return None
        moments = [
            event.occurred_at
            for event in self.events
            if is_waited_for(event, journey, step, now)
            and journey.enrolled_at <= event.occurred_at <= journey.due_at
        ]
        return max(min(moments), journey.anchor_at) if moments else None

    def check(self, journey: Journey, step: Step, now: datetime) -> datetime | None:
        """Everything but caps, in order; the slot of a step that may go out, None for the others."""
        calendar, is_retry = self.window(journey), journey.status == "retry"
        opens = first_open(calendar, journey.zone, now)
        if opens > now:
            self.postpone(journey, step, now, "window", opens)
            return None
        slot = first_open(calendar, journey.zone, journey.slot_at)
        if not is_retry:
            late = now - slot > timedelta(minutes=step.late_minutes)
            if late and step.late_then == "skip":
                self.skip(journey, step, now, "late")
                return None
            preferred = self.preferred_hour(journey, step, now, slot)
            if preferred > now:
                self.postpone(journey, step, now, "preferred_hours", preferred)
                return None
            if step.when and not self.is_true(step.when, journey, now):
                self.skip(journey, step, now, "condition")
                return None
            if journey.trial and not journey.trial.is_present:
                self.skip(journey, step, now, "experiment")
                return None
            if step.test and step.test.varies == "content" and journey.send is None:
                journey.arm = self.draw(journey, step, step.test, now)
        reason = self.suppressed_by(journey) or self.unreachable(journey)
        if reason:
            self.skip(journey, step, now, reason)
            return None
        return slot

    def preferred_hour(
        self, journey: Journey, step: Step, now: datetime, slot: datetime
    ) -> datetime:
        """When a message goes, of the open hours that its day still has; drawn once (R3)."""
        calendar, scores = self.window(journey), dict(self.world.scores).get(journey.sequence)
        today = wall(now, journey.zone).date()
        midnight = datetime.combine(today, time())
        if (
            not calendar.prefers_hours
            or scores is None
            or journey.channel not in ("email", "sms")
            or journey.send is not None
            or (step.test and step.test.varies == "send_time")
            or any(one is journey and name == step.name for one, name, *_ in self.hours)
            or slot < first_instant(midnight, journey.zone)
        ):
            return now
        slots = {}
        for block in range(6):
            begins, ends = (
                first_instant(midnight + timedelta(hours=4 * number), journey.zone)
                for number in (block, block + 1)
            )
            if now < ends and first_open(calendar, journey.zone, max(begins, now)) < ends:
                slots[block] = first_open(calendar, journey.zone, max(begins, now))
        known = {block: scores[today.weekday() * 6 + block] for block in slots}
        if len(slots) == 1 or None in known.values():
            return now
        # The best one that is still open, and now and then another one, to learn about it.
        best = max(known, key=lambda block: (known[block], -block))
        lead = self.names.leads[journey.person.name]
        drawn = fraction(self.names.salt, "hours", f"{journey.sequence}/{step.name}", lead)
        passed = 0.0
        for block in slots:
            share = 0.15 / len(slots) + (0.85 if block == best else 0)
            passed += share
            if drawn < passed or block == max(slots):
                break
        self.hours.append((journey, step.name, now, slots[block], today, block, round(share, 9)))
        return slots[block]

    def unreachable(self, journey: Journey) -> str | None:
        if journey.channel in NO_CONTACTS:
            return None
        address = journey.person.email if journey.channel == "email" else journey.person.phone
        if not address and journey.channel not in FIXED_PLACES:
            return "no_address"
        file = self.files.get(journey.sequence)
        if journey.status == "waiting" and file and journey.count_sends >= file.per_lead:
            return "lead_cap"
        return None

    # Limits (R10, R11) ------------------------------------------------------------------------------

    def apply_limits(self, survivors: list[Survivor], now: datetime) -> list[Survivor]:
        """Pass by pass, who finds no place is postponed; the others may go. Retries ask nobody."""
        retries = [s for s in survivors if s[0].status == "retry" or not is_contact(s[0])]
        asking = [s for s in survivors if s[0].status == "waiting" and is_contact(s[0])]
        asking.sort(
            key=lambda s: (
                s[0].count_sends == 0,
                s[0].due_at,
                self.names.enrollments.get((*key(s[0]), s[0].entry_no), 0),
            )
        )
        for find_limit in (
            self.lead_limit,
            self.sequence_limit,
            self.domain_limit,
            self.sender_limit,
        ):
            going: list[Survivor] = []
            for journey, step, slot in asking:
                # Whoever is held out takes no place (R12).
                ahead = [other for other in going if not self.is_ghost(*other[:2])]
                limit = find_limit(journey, step, ahead, now)
                if limit:
                    reason, moment = limit
                    opens = first_open(self.window(journey), journey.zone, moment)
                    self.postpone(journey, step, now, reason, opens)
                else:
                    going.append((journey, step, slot))
            asking = going
        return retries + asking

    def contacts(self) -> list[tuple[Send, Contact]]:
        found = [(send, c) for send in self.sends for c in (send.made, send.counted)]
        return [(send, contact) for send, contact in found if contact]

    def lead_limit(
        self, journey: Journey, step: Step, ahead: list[Survivor], now: datetime
    ) -> Limit | None:
        """A lead's own day and week, and the time since it was contacted last, in any sequence."""
        house, file = self.world.house, self.files.get(journey.sequence)
        today = wall(now, journey.zone).date()
        mine = [c for send, c in self.contacts() if send.journey.person is journey.person]
        mine += [
            Contact(now, wall(now, other.zone).date())
            for other, _, _ in ahead
            if other.person is journey.person
        ]
        per_day = (file.lead_per_day if file else None) or house.lead_per_day
        gap = (file.contact_gap if file else None) or house.contact_gap
        found: list[tuple[datetime, str]] = []
        for reason, most, span in (
            ("lead_day_cap", per_day, 1),
            ("lead_week_cap", house.lead_per_week, 7),
        ):
            day = today
            while most and sum(c.local_on > day - timedelta(days=span) for c in mine) >= most:
                day += timedelta(days=1)
            if day > today:
                midnight = datetime.combine(day, time())
                found.append((first_instant(midnight, journey.zone), reason))
        if gap and mine:
            ends = max(c.at for c in mine) + timedelta(minutes=gap)
            if ends > now:
                found.append((ends, "contact_gap"))
        # The one that holds longest; at one instant in this order.
        return max(((reason, moment) for moment, reason in found), key=lambda f: f[1], default=None)

    def sequence_limit(
        self, journey: Journey, step: Step, ahead: list[Survivor], now: datetime
    ) -> Limit | None:
        file = self.files.get(journey.sequence)
        if file is None:
            return None
        taken = [c.at for send, c in self.contacts() if send.journey.sequence == file.name]
        taken += [now for other, _, _ in ahead if other.sequence == file.name]
        return full("sequence", taken, file.per_day, file.per_hour, now)

    def domain_limit(
        self, journey: Journey, step: Step, ahead: list[Survivor], now: datetime
    ) -> Limit | None:
        domain = self.domain(journey)
        if domain is None:
            return None
        days, hours = dict(self.world.house.domain_per_day), dict(self.world.house.domain_per_hour)
        taken = [c.at for send, c in self.contacts() if send.domain == domain]
        taken += [now for other, _, _ in ahead if self.domain(other) == domain]
        per_day = days.get(domain, days.get("*"))
        return full("domain", taken, per_day, hours.get(domain, hours.get("*")), now)

    def domain(self, journey: Journey) -> str | None:
        """Where a mail goes; null for what is no mail."""
        return self.leads[journey.person.name].domain if journey.channel == "email" else None

    def sender_limit(
        self, journey: Journey, step: Step, ahead: list[Survivor], now: datetime
    ) -> Limit | None:
        box = next((box for box in self.world.mailboxes if box.name == journey.sender), None)
        if box is None:
            return None
        per_day = box.per_day
        if box.start is not None and per_day is not None:
            today = wall(now, WORKSPACE_ZONE).date()
            sends = [s.claimed_at for s in self.sends if s.sender == box.name]
            first = wall(min(sends), WORKSPACE_ZONE).date() if sends else today
            if box.first_on:
                first = date.fromisoformat(box.first_on)
            cap = Fraction(box.start)
            for _ in range((today - first).days):
                cap *= Fraction(box.growth, 100)
            per_day = min(per_day, int(cap))
        taken = [c.at for send, c in self.contacts() if send.sender == box.name]
        taken += [now for other, _, _ in ahead if other.sender == box.name]
        return full("sender", taken, per_day, box.per_hour, now)

    def claim(self, journey: Journey, step: Step, now: datetime, slot: datetime) -> None:
        is_new = journey.status == "waiting"
        journey.attempts += 1
        journey.slot_at = max(slot, journey.slot_at)
        if journey.send is None:
            variant = journey.arm if step.test else None
            local_on = wall(now, journey.zone).date()
            whom = (journey, step, variant, journey.channel, journey.sender)
            journey.send = Send(*whom, now, journey.slot_at, journey.zone, local_on)
            self.sends.append(journey.send)
        if is_new:
            if is_contact(journey):
                journey.send.counted = Contact(now, wall(now, journey.zone).date())
                journey.count_sends += 1
            journey.send.domain = self.domain(journey)
        if step.test and step.test.varies == "content":
            journey.arm = None
        if journey.status != "retry":
            self.note(now, journey, step, "claimed", None, attempt=journey.attempts)
        journey.status = "in_flight"

    def postpone(
        self, journey: Journey, step: Step, now: datetime, reason: str, until: datetime
    ) -> None:
        if journey.status != "retry":
            self.note(now, journey, step, "postponed", reason, until)
        if step.test and step.test.varies == "content":
            journey.arm = None
        journey.slot_at = until

    def skip(self, journey: Journey, step: Step, now: datetime, reason: str) -> None:
        if journey.status == "retry":
            self.record(journey, now, "withdrawn", reason)
        else:
            self.note(now, journey, step, "skipped", reason)
        self.go_to(journey, journey.following(step), now)

    def note(
        self,
        now: datetime,
        journey: Journey,
        step: Step,
        outcome: str,
        reason: str | None,
        until: datetime | None = None,
        attempt: int | None = None,
    ) -> None:
        self.why.append(
            (now, journey.person.name, journey.sequence, step.name, outcome, reason, until, attempt)
        )

    def is_true(self, condition: Condition, journey: Journey, now: datetime) -> bool:
        return evaluate(condition, journey.person, journey, now, self.events, self.sends) is True

    # Handing over (R7 to R9) ------------------------------------------------------------------------

    def hand_over(self, now: datetime) -> bool:
        """Look at each claim once more, hand over the others; whether there was anything to do."""
        claims = [j for j in self.journeys if j.is_live and j.status == "in_flight"]
        for journey in claims:
            assert journey.step
            if journey.end:
                self.settle(journey, now, "withdrawn", "ended")
            elif journey.paused_at or not self.is_running(journey):
                self.settle(journey, now, "withdrawn", "paused")
            elif reason := self.suppressed_by(journey):
                self.settle(journey, now, "withdrawn", reason)
            else:
                answer = self.world.answer(journey.person.name, journey.step.name, journey.attempts)
                self.journal.append((journey, *SAID[answer], now))
        return bool(claims)

    def let_other_dispatcher(self, beat: Beat, now: datetime) -> None:
        """Somebody else hands over some of the claims; what has no answer then is unknown (R9)."""
        for journey in self.journeys:
            if not (journey.is_live and journey.status == "in_flight" and journey.step):
                continue
            if not is_reached(beat, journey.person.name):
                continue
            if any(known is journey for known, *_ in self.journal):
                continue
            name, step = journey.person.name, journey.step.name
            status, reason = SAID[self.world.answer(name, step, journey.attempts)]
            # It died while it waited for this answer.
            reason = None if status == "unknown" else reason
            self.journal.append((journey, status, reason, now))

    def read_journal(self) -> None:
        answers, self.journal = self.journal, []
        for journey, status, reason, at in answers:
            self.settle(journey, at, status, reason)

    def settle(self, journey: Journey, at: datetime, status: str, reason: str | None) -> None:
        step = journey.step
        assert step
        if status == "refused" and journey.channel not in (*NO_CONTACTS, *FIXED_PLACES):
            self.take_bounce(journey, at, reason or "")
        if journey.end and status == "retry":
            status, reason = "withdrawn", "ended"
        if status == "retry" and journey.attempts >= step.attempts:
            status = "refused"
        wait = None
        if status == "retry":
            wait = timedelta(minutes=step.backoff_minutes) * 2 ** (journey.attempts - 1)
            if reason and reason.startswith("4"):
                wait = max(wait, timedelta(minutes=5))
        self.record(journey, at, status, reason, at + wait if wait is not None else None)
        if journey.end:
            journey.step = None
        elif status == "retry":
            assert wait is not None
            journey.status, journey.slot_at = "retry", at + wait
        elif status == "withdrawn" and reason == "paused":
            journey.status = "waiting"
        elif status == "refused" and step.retry_then == "exit":
            self.finish(journey, at, "exited", "refused")
        else:
            if status in CONTACTED:
                journey.sent.add(step.name)
            self.go_to(journey, journey.following(step), at)

    def take_bounce(self, journey: Journey, at: datetime, reason: str) -> None:
        """R20: an address that does not exist is suppressed, and its enrollment reacts."""
        if not reason.startswith("550 5.1.1"):
            return
        what = Happening(-1, "bounced", journey.person.name, nth=0)
        event = Event(what, journey.person, journey.send, at, at, is_by_phone=False)
        self.events.append(event)
        self.suppress(event)
        self.count_event(event)
        self.react([event], at, [])

    def record(
        self,
        journey: Journey,
        at: datetime,
        status: str,
        reason: str | None,
        next_attempt_at: datetime | None = None,
    ) -> None:
        assert journey.send
        if status == "withdrawn":
            # The claim is taken back, its place free again (R10).
            journey.send.counted = None
            journey.count_sends -= is_contact(journey)
        journey.send.outcomes.append((at, status, reason, journey.attempts, next_attempt_at))

    # What can be compared ---------------------------------------------------------------------------

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every fact, by table, in the form in which the ledger is read (`stage.rows`)."""
        live = [j for j in self.journeys if j.is_live]
        return {
            "enrollments": [
                (*key(j), j.enrolled_at, j.version_no, j.is_holdout, j.entry_no)
                + (j.enrolled_by, j.starts_at)
                for j in self.journeys
            ],
            "ends": [(*key(j), *j.end) for j in self.journeys if j.end],
            "pauses": [(*key(j), *rest) for j, *rest in self.pauses],
            "halts": [(h.sequence, h.by, h.paused_at, h.resumed_at) for h in self.halts],
            "live": [
                (
                    *key(j),
                    j.step.name if j.step else None,
                    j.status,
                    j.due_at,
                    j.slot_at,
                    j.anchor_at,
                    j.zone,
                    j.paused_at is not None,
                    j.end is not None,
                    j.arm,
                    j.attempts,
                    j.count_sends,
                    j.has_replied,
                    j.has_converted,
                    " ".join(sorted(j.sent)),
                    " ".join(sorted(j.opened)),
                    " ".join(sorted(j.clicked)),
                )
                for j in live
            ],
            "sends": [
                (*key(s.journey), s.step.name, s.variant, s.channel)
                + (s.claimed_at, s.slot_at, s.zone, s.local_on, s.sender)
                for s in self.sends
            ],
            "outcomes": [
                (*key(s.journey), s.step.name, *outcome)
                for s in self.sends
                for outcome in s.outcomes
            ],
            "why": self.why,
            "assignments": [
                (name, lead, *rest) for (name, _), (*rest, lead) in self.assignments.items()
            ],
            "hours": [(*key(j), *rest) for j, *rest in self.hours],
            "members": [(name, lead, at) for (name, lead), (_, at) in self.members.items()],
            "suppressions": [
                (r.person.name, r.channel, r.reason, r.created_at, r.lifted_at)
                for r in self.suppressions
            ],
            "requests": [
                (
                    r.person.name,
                    "do_not_contact",
                    None,
                    None,
                    r.requested_at,
                    *(r.outcome or NOT_YET),
                )
                if r.what.kind == "blocks"
                else (r.person.name, "enroll", r.what.sequence, r.starts_at, r.requested_at)
                + (r.outcome or NOT_YET)
                for r in self.requests
            ],
            "events": [
                (e.person.name, e.what.kind, e.occurred_at, e.received_at, e.verdict)
                for e in self.events
            ],
        }


SENDERS = {
    "email": "sales",
    "sms": "text",
    "call": "caller",
    "task": "desk",
    "webhook": "hook",
    "form": "site",
}


def is_waited_for(event: Event, journey: Journey, step: Step, now: datetime) -> bool:
    """Whether an event is what a step waits for; opens and clicks once they could be judged (R5)."""
    what, is_mine = event.what, event.send is not None and event.send.journey is journey
    if event.person is not journey.person or event.verdict == "machine":
        return False
    if what.kind != step.event and (step.event, what.kind) != ("opened", "clicked"):
        return False
    if what.kind in ("opened", "clicked") and (
        event.verdict != "human" or event.received_at + JUDGED_AFTER > now
    ):
        return False
    if step.link and step.link.strip("*") not in (what.url or ""):
        return False
    if step.event == "converted":
        return what.goal == journey.version.goal
    if step.of:
        return is_mine and event.send is not None and event.send.step.name == step.of
    return is_mine or event.send is None


NOT_YET = (None, None, None)
GONE_CALENDAR = Calendar(days=DAYS[:5], hours=("09:00-17:00",))


def key(journey: Journey) -> tuple[str, str]:
    return journey.person.name, journey.sequence


def is_contact(journey: Journey) -> bool:
    return journey.channel not in NO_CONTACTS


def every_step(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        for way in step.ways:
            yield from every_step(way.steps)


def definition(sequence: str, step: Step) -> tuple[Any, ...]:
    """What names a test for ever: its place, its words, its arms; not the weights, not the share."""
    test = step.test
    assert test
    is_delay = test.varies == "delay"
    arms = {
        replace(arm, percent=0, after=(arm.after or step.after) if is_delay else None)
        for arm in test.arms
    }
    return sequence, step.name, step.kind, test.unit, test.control, test.varies, arms


def stop_order(event: Event) -> tuple[Any, ...]:
    return event.occurred_at, event.what.kind != "converted", event.what.kind


def is_sale(event: Event) -> bool:
    return event.what.kind == "converted"


def row_key(row: Suppression) -> tuple[Any, ...]:
    return row.person.name, row.channel, row.reason, row.created_at


def channel_of(event: Event) -> str:
    if event.send:
        return event.send.channel
    return "sms" if event.is_by_phone else "email"


def is_same_recipient(one: Person, other: Person, channel: str) -> bool:
    return one is other or (channel == "sms" and one.phone is not None and one.phone == other.phone)


def unit_of(event: Event) -> object:
    return id(event.send) if event.send else event.person.name


def judge_event(event: Event, around: list[Event]) -> str:
    """Who opened or clicked: the agent, then a burst over three links, then haste."""
    agent = event.what.agent
    if agent is not None and "googleimageproxy" in agent.lower():
        return "human"
    if agent is None and event.what.source == "tracker":
        return "machine"
    if agent is not None and (agent.lower() == "mozilla/5.0" or "curl/" in agent):
        return "machine"
    two = timedelta(seconds=2)
    for first in around:
        links = {
            e.what.url
            for e in around
            if e.what.url and first.occurred_at <= e.occurred_at <= first.occurred_at + two
        }
        if len(links) >= 3 and first.occurred_at <= event.occurred_at <= first.occurred_at + two:
            return "machine"
    handed_over = event.send.handed_over_at if event.send else None
    if handed_over is None:
        return "human"
    if event.what.kind == "opened":
        is_hasty = event.occurred_at < handed_over + timedelta(seconds=1)
        return "machine" if is_hasty else "human"
    opens = [e.occurred_at for e in around if e.what.kind == "opened"]
    was_opened = bool(opens) and min(opens) <= event.occurred_at
    is_hasty = event.occurred_at < handed_over + two
    return "uncertain" if is_hasty and not was_opened else "human"


def first_contact(steps: tuple[Step, ...]) -> Step | None:
    """The step that everybody is contacted by first, if there is one."""
    for step in steps:
        if step.kind in ("branch", "wait_for"):
            return None
        if step.kind not in CONTROLS:
            return step
    return None


# Conditions (R5) ------------------------------------------------------------------------------------


def holds(condition: Condition | None, person: Person) -> bool:
    return condition is None or evaluate(condition, person, None, None, [], []) is True


def evaluate(
    condition: Condition,
    person: Person,
    journey: Journey | None,
    now: datetime | None,
    events: list[Event],
    sends: list[Send],
) -> bool | None:
    """True, false or, for what is not known of a lead, None."""

    def inner(part: Condition) -> bool | None:
        return evaluate(part, person, journey, now, events, sends)

    match condition:
        case ("and", left, right):
            values = inner(left), inner(right)
            return False if False in values else None if None in values else True
        case ("or", left, right):
            values = inner(left), inner(right)
            return True if True in values else None if None in values else False
        case ("not", part):
            value = inner(part)
            return None if value is None else not value
        case ("lead", name, wanted):
            value = getattr(person, name)
            return None if value is None else value == wanted
        case ("unknown", name):
            return getattr(person, name) is None
    assert journey is not None
    assert now is not None
    match condition:
        case ("sent", step):
            return step in journey.sent
        case ("opened", step):
            return step in journey.opened
        case ("clicked", step):
            return step in journey.clicked
        case ("clicked", step, pattern):
            return any(
                event.send is not None
                and event.send.journey is journey
                and event.send.step.name == step
                and event.what.kind == "clicked"
                and event.verdict == "human"
                and event.received_at + JUDGED_AFTER <= now
                and pattern.strip("*") in (event.what.url or "")
                for event in events
            )
        case ("answered", step):
            return any(
                event.what.kind == "call_answered"
                and event.send is not None
                and event.send.journey is journey
                and event.send.step.name == step
                for event in events
            )
        case ("since", step, least):
            moments = [
                outcome[0]
                for send in sends
                if send.journey is journey and send.step.name == step
                for outcome in send.outcomes
                if outcome[1] in CONTACTED
            ]
            days = (now - max(moments)).total_seconds() / 86400 if moments else 0
            return days >= least
        case ("replied",):
            return journey.has_replied
        case ("converted",):
            return journey.has_converted
        case ("count_sends", least):
            return journey.count_sends >= least
        case ("days_since", least):
            return (now - journey.enrolled_at).total_seconds() / 86400 >= least
    raise AssertionError(condition)
