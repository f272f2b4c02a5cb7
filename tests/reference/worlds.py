"""Worlds to live through twice: their parts, and the same parts as files and landing lines."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

WORKSPACE_ZONE = "America/New_York"
URLS = ("https://example.com/a", "https://example.com/pricing", "https://example.com/c")
READER = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"
PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
SCANNERS = ("curl/8.5.0", "Mozilla/5.0")
# Nobody gets a text message at night, nor at noon: in all worlds, since they share a workspace.
# Every window that is drawn keeps some of its time.
QUIET = {"sms": ("23:15-01:45", "12:00-12:45")}
ADDRESSES = ("email", "phone", "external_id")
DEFAULT_REACTIONS = {
    "converted": "stop",
    "replied": "stop",
    "auto_replied": "continue",
    "meeting_booked": "stop",
    "bounced": "stop",
    "unsubscribed": "stop",
    "complained": "stop",
    "rejected": "continue",
}

# A condition is a nested tuple: a word and its arguments, such as sent of a step, clicked of a step
# and a pattern, count_sends or days_since of a number, lead of a field and a value; and not, and, or
# of conditions.
Condition = tuple[Any, ...]


@dataclass(frozen=True)
class Delay:
    amount: int
    unit: str  # m | h | d | w | bd
    since: str = "previous"

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@dataclass(frozen=True)
class Arm:
    name: str
    percent: int
    after: Delay | None = None
    sender: str | None = None
    hours: tuple[str, ...] | None = None
    channel: str | None = None
    is_present: bool = True


@dataclass(frozen=True)
class Test:
    name: str
    control: str
    percent: int
    varies: str  # content | delay | send_time | channel | presence
    arms: tuple[Arm, ...]
    unit: str = "lead"  # lead | account

    __test__ = False


@dataclass(frozen=True)
class Way:
    when: Condition | None
    steps: tuple["Step", ...]


@dataclass(frozen=True)
class Step:
    name: str
    kind: str  # email | sms | call | task | webhook | form | best | wait | wait_for | branch | end
    after: Delay | None = None  # of a wait how long, of a wait_for the time-out
    when: Condition | None = None
    attempts: int = 3
    backoff_minutes: int = 1
    retry_then: str = "skip"
    late_minutes: int = 1440
    late_then: str = "skip"
    test: Test | None = None
    sender: str | None = None
    ways: tuple[Way, ...] = ()
    end: str = "completed"
    event: str = ""  # of a wait_for: what for, of which message, which link
    of: str | None = None
    link: str | None = None
    then: str = "continue"
    holdout_percent: int = 0


@dataclass(frozen=True)
class Calendar:
    zone: str = "lead"
    fallback: str = "America/New_York"
    days: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    hours: tuple[str, ...] = ("00:00-24:00",)
    holidays: tuple[str, ...] = ()  # US, DE-BY, dates
    quiet: tuple[str, ...] = ()  # of the open step's channel
    prefers_hours: bool = False


@dataclass(frozen=True)
class Trigger:
    """An event that enrolls its lead."""

    kind: str
    name: str | None = None
    value: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Sequence:
    name: str
    steps: tuple[Step, ...]
    sources: tuple[str, ...]
    status: str = "active"
    drain: bool = False
    only: Condition | None = None
    goal: str | None = None
    holdout_percent: int = 0
    max_leads: int | None = None
    per_day: int | None = None
    per_hour: int | None = None
    per_lead: int = 60
    lead_per_day: int | None = None  # in place of the house's
    contact_gap: int | None = None  # minutes
    calendar: Calendar = Calendar()
    react: tuple[tuple[str, str], ...] = ()  # stop | pause | continue | pause for so many minutes
    campaign: str | None = None
    overlap: bool = False
    priority: int = 0
    reenter: str = "never"
    cooldown_hours: int = 720
    event: Trigger | None = None


@dataclass(frozen=True)
class Lead:
    name: str
    source: str
    has_email: bool = True
    phone: str | None = None
    country: str | None = None
    zone: str | None = None
    plan: str | None = None
    age_hours: int = 0
    domain: str = "example.com"

    @property
    def email(self) -> str:
        return f"{self.name}@{self.domain}"


@dataclass(frozen=True)
class Happening:
    """Something that lands before a beat, or that a person does then."""

    beat: int
    kind: str  # arrives | changes | resumes | asks | blocks | an event's kind
    lead: str
    minutes_ago: float = 0
    minutes_late: float = 0  # how long before the receipt it happened
    nth: int | None = None  # of the lead's answered sends; None = by address
    hasty_seconds: float | None = None  # so soon after the send's answer, instead of `minutes_late`
    by: str = "external_id"
    goal: str = "sale"
    url: str | None = None
    agent: str | None = None
    source: str = "webhook:webhook"
    again: bool = False  # told twice
    callback_hours: float | None = None  # of a request to be called: so long after it
    sequence: str = ""  # of a request; of a resume, where "" = whatever is paused
    starts_in: int | None = None  # of a request: minutes from its receipt to its start
    word: str | None = None  # of a custom event
    fields: tuple[tuple[str, str], ...] = ()  # of a change


@dataclass(frozen=True)
class Edit:
    """A sequence's file as it is from one beat on; None = the file is gone."""

    beat: int
    name: str
    after: Sequence | None


@dataclass(frozen=True)
class Order:
    """An operator pauses or resumes a sequence before a beat."""

    beat: int
    action: str  # pause | resume
    name: str


@dataclass(frozen=True)
class Beat:
    """One tick: so long after the last one, or when something is due.

    `leaves`: another dispatcher holds the lock, so the tick plans and leaves; `reaches` says how far
    that dispatcher comes before it dies.
    """

    minutes: float
    waits_for_due: bool = False
    leaves: bool = False
    reaches: str = "nobody"  # nobody | half | everybody
    everything: str = ""  # pause | resume: a command; stop | go: the STOP file comes and goes


@dataclass(frozen=True)
class Mailbox:
    """A sender and its limits; `growth` percent a day from `start`, when it warms up."""

    name: str
    channel: str
    per_day: int | None = None
    per_hour: int | None = None
    start: int | None = None
    growth: int = 150
    first_on: str | None = None


@dataclass(frozen=True)
class House:
    """Limits of the workspace: of one lead, and of domains (per day, per hour); whom it holds out."""

    lead_per_day: int | None = None
    lead_per_week: int | None = None
    contact_gap: int | None = None  # minutes
    domain_per_day: tuple[tuple[str, int], ...] = ()
    domain_per_hour: tuple[tuple[str, int], ...] = ()
    holdout_percent: int = 0


@dataclass(frozen=True)
class World:
    name: str
    sequences: tuple[Sequence, ...]
    leads: tuple[Lead, ...]
    happenings: tuple[Happening, ...]
    answers: tuple[str, ...] = ("accepted",)
    edits: tuple[Edit, ...] = ()
    mailboxes: tuple[Mailbox, ...] = ()
    house: House = House()  # the same in every world of a universe
    orders: tuple[Order, ...] = ()
    scores: tuple[tuple[str, tuple[float | None, ...]], ...] = ()  # of sequences: 6 blocks, 7 days

    def answer(self, lead: str, step: str, attempt: int) -> str:
        """What the other side says to one attempt: accepted, busy, later, refused or nothing."""
        place = sum(map(ord, lead + step)) + 3 * attempt
        return self.answers[place % len(self.answers)]


@dataclass(frozen=True)
class Universe:
    """Worlds that share a home and a clock, and nothing else."""

    start: datetime
    beats: tuple[Beat, ...]
    worlds: tuple[World, ...]

    def __repr__(self) -> str:
        return f"<{len(self.worlds)} worlds from {self.start:%Y-%m-%d}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


# What a transport makes of an answer: status and reason of the outcome.
SAID = {
    "accepted": ("handed_over", None),
    "busy": ("retry", "The server ended the connection."),
    "later": ("retry", "451 Try again later"),
    "refused": ("refused", "554 Message rejected"),
    "gone": ("refused", "550 5.1.1 No such user"),
    "nothing": ("unknown", "No answer"),
}


def is_reached(beat: Beat, lead: str) -> bool:
    """Whether the other dispatcher of a beat hands this lead's claims over before it dies."""
    return beat.reaches == "everybody" or (beat.reaches == "half" and sum(map(ord, lead)) % 2 == 0)


MAIL = {"subject": "Hello", "body": "templates/hello.md"}
TEXTS: dict[str, dict[str, Any]] = {
    "email": MAIL,
    "sms": {"text": "Hello"},
    "call": {"script": "Hello"},
    "task": {"title": "Hello"},
    "webhook": {},
    "form": {"payload": {"message": "Hello", "consent": True}},
    "best": {**MAIL, "text": "Hello"},
}


# As files -------------------------------------------------------------------------------------------


def write_workspace(folder: Path, worlds: tuple[World, ...]) -> None:
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "hello.md").write_text("Hello.")
    workspace = {
        "name": "Reference",
        "timezone": WORKSPACE_ZONE,
        "address": "1 Road, Town",
        "attributes": ["plan"],
        # One account for all leads of a plan.
        "account": "plan",
        "holdout": f"{worlds[0].house.holdout_percent}%",
        "default_senders": {"email": "sales", "sms": "text"},
        "limits": house_limits(worlds[0].house),
        "senders": {box.name: mailbox_file(box) for world in worlds for box in world.mailboxes}
        | {
            "sales": {"channel": "email", "address": "ann@example.com"},
            "second": {"channel": "email", "address": "ben@example.com"},
            "text": {
                "channel": "sms",
                "address": "ann@example.com",
                "to": "{{ phone }}@sms.example.com",
            },
            "caller": {"channel": "call", "address": "ann@example.com"},
            "desk": {"channel": "task", "address": "ann@example.com"},
            "hook": {"channel": "webhook", "transport": "hooks"},
            "site": {"channel": "form", "transport": "hooks"},
        },
        "transports": {
            "maildir": {"kind": "maildir"},
            "hooks": {"kind": "http", "url": "https://hooks.example.com/in"},
        },
        "quiet_hours": {channel: list(hours) for channel, hours in QUIET.items()},
        "goals": {"sale": "webhook:webhook", "demo": "webhook:webhook"},
    }
    (folder / "workspace.yml").write_text(json.dumps(workspace))


def house_limits(house: House) -> dict[str, Any]:
    found: dict[str, Any] = {
        "lead_per_day": house.lead_per_day,
        "lead_per_week": house.lead_per_week,
        "contact_gap": house.contact_gap and f"{house.contact_gap}m",
        "domain_per_day": dict(house.domain_per_day),
        "domain_per_hour": dict(house.domain_per_hour),
    }
    return {name: value for name, value in found.items() if value}


def mailbox_file(box: Mailbox) -> dict[str, Any]:
    file: dict[str, Any] = {"channel": box.channel, "address": "ann@example.com"}
    if box.channel == "sms":
        file["to"] = "{{ phone }}@sms.example.com"
    limits: dict[str, Any] = {"per_day": box.per_day, "per_hour": box.per_hour}
    if box.start is not None:
        ramp = {"start": box.start, "growth": box.growth / 100, "from": box.first_on}
        limits["warm_up"] = {name: value for name, value in ramp.items() if value}
    return file | {"limits": {name: value for name, value in limits.items() if value}}


def write_sequence(folder: Path, sequence: Sequence) -> None:
    (folder / f"{sequence.name}.yml").write_text(json.dumps(sequence_file(sequence)))


def sequence_file(sequence: Sequence) -> dict[str, Any]:
    """The sequence as a person would write it; JSON is YAML."""
    sources = ", ".join(f"'{source}'" for source in sequence.sources)
    rule = f"lead.source in ({sources})"
    if sequence.only:
        rule += f" and {condition_text(sequence.only)}"
    enroll: dict[str, Any] = {"when": rule, "holdout": f"{sequence.holdout_percent}%"}
    if sequence.max_leads is not None:
        enroll["max_leads"] = sequence.max_leads
    limits: dict[str, Any] = {"per_lead": sequence.per_lead}
    for name in ("per_day", "per_hour", "lead_per_day"):
        if getattr(sequence, name) is not None:
            limits[name] = getattr(sequence, name)
    if sequence.contact_gap is not None:
        limits["contact_gap"] = f"{sequence.contact_gap}m"
    file = {
        "status": sequence.status,
        "enroll": enroll,
        "calendar": {
            "timezone": sequence.calendar.zone,
            "fallback_timezone": sequence.calendar.fallback,
            "days": list(sequence.calendar.days),
            "hours": list(sequence.calendar.hours),
        },
        "limits": limits,
        "steps": [step_file(step) for step in sequence.steps],
    }
    if sequence.calendar.prefers_hours:
        file["calendar"]["preferred_hours"] = True
    if sequence.calendar.holidays:
        file["calendar"]["holidays"] = list(sequence.calendar.holidays)
    if sequence.drain:
        file["drain"] = True
    if sequence.priority:
        enroll["priority"] = sequence.priority
    if (sequence.reenter, sequence.cooldown_hours) != ("never", 720):
        enroll |= {"reenter": sequence.reenter, "cooldown": f"{sequence.cooldown_hours}h"}
    if sequence.event:
        known = {name: value for name, value in vars(sequence.event).items() if value}
        enroll["event"] = known
    if sequence.campaign:
        file |= {"campaign": sequence.campaign, "overlap": sequence.overlap}
    if sequence.react:
        file["react"] = {kind: reaction_file(action) for kind, action in sequence.react}
    if sequence.goal:
        file["goal"] = {"name": sequence.goal}
    return file


def reaction_file(action: str) -> Any:
    word, _, minutes = action.partition(" for ")
    return {"do": word, "resume_after": f"{minutes}m"} if minutes else word


def step_file(step: Step) -> dict[str, Any]:
    file: dict[str, Any] = {"id": step.name}
    if step.kind == "wait":
        return file | {"wait": delay_file(step.after or Delay(0, "m"))}
    if step.kind == "wait_for":
        return file | {"wait_for": wait_file(step)}
    if step.after:
        file["after"] = delay_file(step.after)
    if step.when:
        file["when"] = condition_text(step.when)
    if step.kind == "end":
        return file | {"end": step.end}
    if step.kind == "branch":
        return file | {"branch": [way_file(way) for way in step.ways]}
    file["channel"] = step.kind
    if step.sender:
        file["sender"] = step.sender
    file |= TEXTS[step.kind]
    # What says nothing new is left out: reading files is a large part of a run.
    if (step.attempts, step.backoff_minutes, step.retry_then) != (3, 1, "skip"):
        file["retry"] = {
            "attempts": step.attempts,
            "backoff": f"{step.backoff_minutes}m",
            "then": step.retry_then,
        }
    if (step.late_minutes, step.late_then) != (1440, "skip"):
        file["late"] = {"after": f"{step.late_minutes}m", "then": step.late_then}
    if step.holdout_percent:
        file["holdout"] = f"{step.holdout_percent}%"
    if step.test:
        file["experiment"] = test_file(step.test, step.kind)
    return file


def wait_file(step: Step) -> dict[str, Any]:
    file = {"event": step.event, "timeout": str(step.after), "on_timeout": step.then}
    if step.of:
        file["step"] = step.of
    if step.link:
        file["url"] = step.link
    return file


def way_file(way: Way) -> dict[str, Any]:
    when = {"when": condition_text(way.when)} if way.when else {}
    return when | {"steps": [step_file(step) for step in way.steps]}


def delay_file(delay: Delay) -> Any:
    if delay.since == "previous":
        return str(delay)
    return {"since": delay.since, "delay": str(delay)}


def test_file(test: Test, kind: str) -> dict[str, Any]:
    variants = [arm_file(test, arm, kind) for arm in test.arms]
    return {
        "id": test.name,
        "unit": test.unit,
        "control": test.control,
        "share": f"{test.percent}%",
        "metric": "replied",
        "allocation": "weights",
        "weights": {arm.name: f"{arm.percent}%" for arm in test.arms},
        "variants": variants,
    }


def arm_file(test: Test, arm: Arm, kind: str) -> dict[str, Any]:
    file: dict[str, Any] = {"id": arm.name}
    if arm.after:
        file["after"] = delay_file(arm.after)
    if arm.hours:
        file["hours"] = list(arm.hours)
    if not arm.is_present:
        file["present"] = False
    if arm.sender:
        file["sender"] = arm.sender
    if arm.channel == "sms":
        file |= {"channel": "sms", "text": "Hello"}
    elif arm.channel:
        file |= {"channel": "email", "subject": "Hello", "body": "templates/hello.md"}
    elif test.varies == "content" and arm.name != test.control:
        file["text" if kind == "sms" else "subject"] = f"Hello {arm.name}"
    return file


def condition_text(condition: Condition) -> str:
    match condition:
        case ("and" | "or" as word, left, right):
            return f"({condition_text(left)} {word} {condition_text(right)})"
        case ("not", inner):
            return f"not ({condition_text(inner)})"
        case ("lead", name, value):
            return f"lead.{name} = '{value}'"
        case ("unknown", name):
            return f"lead.{name} is null"
        case ("count_sends", least):
            return f"count_sends() >= {least}"
        case ("days_since", least):
            return f"days_since('enrolled') >= {least}"
        case ("since", step, least):
            return f"days_since('{step}') >= {least}"
        case (word, *arguments):
            return f"{word}({', '.join(repr(argument) for argument in arguments)})"
    raise AssertionError(condition)


# As landing lines -----------------------------------------------------------------------------------


def received_at(what: Happening, now: datetime, before: datetime) -> datetime:
    """When we are told: never before the last tick, which would have known it."""
    return max(now - timedelta(minutes=what.minutes_ago), before)


def occurred_at(what: Happening, received: datetime, answered: datetime | None) -> datetime:
    if what.hasty_seconds is not None and answered is not None:
        return answered + timedelta(seconds=what.hasty_seconds)
    return received - timedelta(minutes=what.minutes_late)


def lead_record(lead: Lead, received: datetime) -> dict[str, Any]:
    record = {
        "external_id": lead.name,
        "source": lead.source,
        "email": lead.email if lead.has_email else None,
        "phone": lead.phone,
        "country": lead.country,
        "timezone": lead.zone,
        "created_at": instant_text(received - timedelta(hours=lead.age_hours)),
        "attributes": {"plan": lead.plan} if lead.plan else {},
    }
    return {name: value for name, value in record.items() if value is not None}


def change_record(lead: Lead, what: Happening) -> dict[str, Any]:
    record: dict[str, Any] = {"external_id": lead.name, "source": lead.source}
    for name, value in what.fields:
        if name == "plan":
            record["attributes"] = {"plan": value}
        else:
            record[name] = value
    return record


def event_record(
    what: Happening, lead: Lead, occurred: datetime, key: str, send_id: int | None
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "key": key,
        "kind": what.kind,
        "occurred_at": instant_text(occurred),
    }
    if what.kind in ("converted", "conversion_reversed"):
        record["name"] = what.goal
    if what.callback_hours is not None:
        record["callback_at"] = instant_text(occurred + timedelta(hours=what.callback_hours))
    if what.kind == "custom":
        record |= {"name": "stage", "value": what.word}
    if what.url:
        record["url"] = what.url
    if what.agent is not None:
        record["agent"] = what.agent
    if send_id is not None:
        return record | {"send_id": send_id}
    return record | address_of(what, lead)


def request_record(
    what: Happening, lead: Lead, received: datetime, request_key: str
) -> dict[str, Any]:
    record: dict[str, Any] = {"key": request_key, "lead": address_of(what, lead)}
    if what.kind == "blocks":
        return record | {"kind": "do_not_contact"}
    record |= {"kind": "enroll", "enrolled_by": "hand", "sequence": what.sequence}
    if what.starts_in is not None:
        record["starts_at"] = instant_text(received + timedelta(minutes=what.starts_in))
    return record


def address_of(what: Happening, lead: Lead) -> dict[str, str]:
    if what.by == "email" and lead.has_email:
        return {"email": lead.email}
    if what.by == "phone" and lead.phone:
        return {"phone": lead.phone}
    return {"external_id": lead.name}


def instant_text(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
