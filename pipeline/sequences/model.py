"""The shape of workspace.yml and of a sequence file: fields, types, choices, what is not yet.

Belongs here: what one field may hold, and turning pydantic's errors into problems that say what to
write. Does not: what needs two fields, the workspace or a template (`compile`).
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from email.utils import parseaddr
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipeline.sequences.calendars import DAY_NAMES, MINUTES_PER_DAY, list_zones
from pipeline.sequences.closed_days import read_holidays
from pipeline.sequences.compiled import GUARDRAILS, Delay, Guardrail
from pipeline.sequences.durations import parse_delay, parse_seconds
from pipeline.sequences.presets import with_preset
from pipeline.sequences.problems import Problem
from pipeline.sequences.vocabulary import EventKind
from pipeline.sequences.yaml_file import KeyPath, YamlFile

Model = TypeVar("Model", bound=BaseModel)

NOT_YET = {
    "starts_at": "a file has no start date: write status: paused until then, or enroll each lead "
    "with `drip enroll SEQUENCE --lead WHO --starts-at WHEN`",
    "providers": "providers are not supported yet: write `transports:` of kind maildir, smtp or "
    "http",
    "compliance": "compliance rules are not supported yet: write your postal `address:`",
    "crm": "CRM rules are not supported yet: remove them",
}
"""Fields of the design that this version refuses, and what to write instead."""

REACTIONS = {
    "converted": "stop",
    "replied": "stop",
    "auto_replied": "continue",
    "meeting_booked": "stop",
    "bounced": "stop",
    "unsubscribed": "stop",
    "complained": "stop",
    "rejected": "continue",
}
"""What may be reacted to, and the reaction when the file says nothing."""

_CENT_PLACES = 4
_RATE_PLACES = 8

ATTRIBUTIONS = ("first", "last", "linear", "position", "time_decay")
"""Ways to share out a conversion among the messages before it; `last` where the file is silent."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SOURCE = re.compile(r"tracker|api|operator|(webhook|import):[a-z0-9_-]+")
_WINDOW = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
# No user name: a secret in an address would stand in the file.
_HOOK = re.compile(r"(https?)://([a-z0-9.-]+|\[::1\])(?::\d{1,5})?(?:/[^\s#]*)?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_LONGEST_GAP = 30 * 86400
_ALL_PERCENT = 100
_ACTIONS = ("stop", "pause", "continue")
LAST_MINUTE = 59
_HOURS_HOW = 'write "HH:MM-HH:MM", such as "09:00-17:00", "22:00-02:00" or "00:00-24:00"'


def _check_text(check: Callable[[str], str]) -> BeforeValidator:
    def run(value: object) -> object:
        # Other types fall through to pydantic, which asks for text.
        return check(value) if isinstance(value, str) else value

    return BeforeValidator(run)


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: write small letters, digits and _, from a letter")
    return value


def _check_word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError(f"{value!r} is no name: write small letters, digits and _, from a letter")
    return value


def suggest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """Return ` Did you mean x?` for the nearest known word, else the known words."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(sorted(known))}." if known else ""


def _check_zone(value: str) -> str:
    if value not in list_zones():
        near = get_close_matches(value, list_zones(), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "write an IANA name, such as Europe/Berlin"
        raise ValueError(f"unknown zone {value!r}: {hint}")
    ZoneInfo(value)
    return value


def _check_lead_zone(value: str) -> str:
    if value == "lead":
        return value
    try:
        return _check_zone(value)
    except ValueError as error:
        raise ValueError(f"{error} Or write `lead` for the zone of each lead.") from None


def _check_goal_source(value: str) -> str:
    if not _SOURCE.fullmatch(value):
        raise ValueError(
            f"{value!r} declares no goal: write tracker, api, operator, webhook:<provider> or "
            "import:<name>"
        )
    return value


def _check_address(value: str) -> str:
    _, address = parseaddr(value)
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) or re.search(r"[\r\n]", value):
        raise ValueError(f'{value!r} is no address: write "Ann Example <ann@example.com>"')
    return value


def _check_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
        raise ValueError(f"{value!r} is no address of a server: write https://mail.example.com")
    return value.rstrip("/")


def _check_hook(value: str) -> str:
    match = _HOOK.fullmatch(value)
    if match is None or (match[1] == "http" and match[2] not in _LOOPBACK):
        raise ValueError(
            f"{value!r} is no address to post to: write https://hooks.example.com/in; "
            "http:// is for this machine only"
        )
    return value


def _check_field_name(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} is no field's name: write it as the form has it, such as name")
    return value


def _check_told(value: object) -> object:
    if isinstance(value, dict | list):
        how = 'write one text, such as "{{ email }}", and one field for each'
        raise ValueError(f"a field of a payload holds no others: {how}")
    return value


def _check_metric(value: str) -> str:
    if not re.fullmatch(
        r"clicked|replied|opened|answered|(goal|revenue)\([a-z][a-z0-9_]*\)", value
    ):
        raise ValueError(
            f"unknown metric {value!r}: write clicked, replied, opened, answered, goal(name) or "
            "revenue(name)"
        )
    return value


def _read_percent(value: object) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
    if match is None or float(match[1]) > _ALL_PERCENT:
        raise ValueError(f"{value!r} is no share: write a percentage from 0% to 100%, such as 10%")
    return float(match[1]) / 100


def _read_seconds(value: object) -> int:
    return parse_seconds(value)  # type: ignore[arg-type]  # refuses what is no text


def _read_gap(value: object) -> int:
    seconds = _read_seconds(value)
    if not 0 < seconds <= _LONGEST_GAP:
        raise ValueError(f"{value!r} is no gap: write a duration up to 30d, such as 12h")
    return seconds


def _read_date(value: object) -> date:
    try:
        return date.fromisoformat(value)  # type: ignore[arg-type]  # refuses what is no text
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is no date: write it like 2026-11-01") from None


def _read_money(value: object) -> Decimal:
    number = None if isinstance(value, bool) else value
    money = Decimal(str(number)) if isinstance(number, int | float) else Decimal("NaN")
    if not money.is_finite() or money < 0 or money != round(money, _CENT_PLACES):
        raise ValueError(f"{value!r} is no price: write an amount with up to 4 digits, like 0.0075")
    return money


def _read_rate(value: object) -> Decimal:
    number = None if isinstance(value, bool) else value
    rate = Decimal(str(number)) if isinstance(number, int | float) else Decimal("NaN")
    if not rate.is_finite() or rate <= 0 or rate != round(rate, _RATE_PLACES):
        raise ValueError(
            f"{value!r} is no rate: write what one unit of it is worth, with up to 8 digits, "
            "like 1.0832"
        )
    return rate


def _check_domain(value: str) -> str:
    if value != "*" and not _DOMAIN.fullmatch(value):
        raise ValueError(
            f"{value!r} is no domain: write it in small letters, such as gmail.com, "
            'or "*" for every other domain'
        )
    return value


def _read_delay(value: object) -> Delay | None:
    how = "write `after: 12h`, or `after: {since: enrollment, delay: 12h}`"
    if isinstance(value, dict):
        if set(value) != {"since", "delay"}:
            raise ValueError(f"a delay has the keys since and delay: {how}")
        if value["since"] not in ("enrollment", "previous"):
            raise ValueError(f"since must be enrollment or previous: {how}")
        return parse_delay(value["delay"], value["since"])
    return parse_delay(value)  # type: ignore[arg-type]  # refuses what is no text


def _read_windows(value: object) -> tuple[tuple[int, int], ...]:
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise ValueError(f"no hours: {_HOURS_HOW}")
    return tuple(sorted(_read_window(text) for text in texts))


def _read_quiet(value: object) -> tuple[tuple[int, int], ...]:
    windows = _read_windows(value)
    quiet = {
        minute % MINUTES_PER_DAY for opens, closes in windows for minute in range(opens, closes)
    }
    if len(quiet) == MINUTES_PER_DAY:
        raise ValueError(f"{value!r} leave no hour of the day: write fewer quiet hours")
    return windows


def _read_window(value: object) -> tuple[int, int]:
    match = _WINDOW.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} are no hours: {_HOURS_HOW}")
    opens, closes = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
    is_clock = max(int(match[2]), int(match[4])) <= LAST_MINUTE
    if not is_clock or opens == closes or opens >= MINUTES_PER_DAY or closes > MINUTES_PER_DAY:
        raise ValueError(f"{value!r} are no hours: {_HOURS_HOW}")
    return opens, closes if closes > opens else closes + MINUTES_PER_DAY


def _read_days(value: object) -> tuple[int, ...]:
    names = value if isinstance(value, list) else []
    unknown = [name for name in names if name not in DAY_NAMES]
    if unknown or not names:
        what = f"unknown day {unknown[0]!r}" if unknown else "no days"
        raise ValueError(f"{what}: write a list such as [mon, tue, wed, thu, fri]")
    return tuple(sorted({DAY_NAMES.index(name) for name in names}))


def _choice(choices: tuple[str, ...], **not_yet: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and value in not_yet:
            raise ValueError(not_yet[value])
        if not isinstance(value, str) or value not in choices:
            hint = get_close_matches(value, choices, n=1) if isinstance(value, str) else []
            more = f" Did you mean {hint[0]}?" if hint else ""
            raise ValueError(f"{value!r} is not known: write {' or '.join(choices)}.{more}")
        return value

    return BeforeValidator(check)


Name = Annotated[str, _check_text(_check_name)]
Word = Annotated[str, _check_text(_check_word)]
Zone = Annotated[str, _check_text(_check_zone)]
Percent = Annotated[float, BeforeValidator(_read_percent)]
Seconds = Annotated[int, BeforeValidator(_read_seconds)]
Hours = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_read_windows)]
Gap = Annotated[int, BeforeValidator(_read_gap)]
Money = Annotated[Decimal, BeforeValidator(_read_money)]
Date = Annotated[date, BeforeValidator(_read_date)]
Rate = Annotated[Decimal, BeforeValidator(_read_rate)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Domain = Annotated[str, _check_text(_check_domain)]
Cap = Annotated[int, Field(ge=1)]
After = Annotated[Delay, BeforeValidator(_read_delay)]
ChannelName = Annotated[
    Literal["email", "sms", "call", "whatsapp", "task", "linkedin", "webhook", "form", "best"],
    _choice(("email", "sms", "call", "whatsapp", "task", "linkedin", "webhook", "form", "best")),
]
FieldName = Annotated[str, _check_text(_check_field_name)]
Told = Annotated[str | int | float | bool | None, BeforeValidator(_check_told)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Transport(_Strict):
    """How messages leave: `maildir` writes them to files, `smtp` hands them to a mail server.

    `http` posts to the address `url`: webhooks, which DRIP_HTTP_SECRET signs, and forms.
    """

    kind: Annotated[Literal["maildir", "smtp", "http"], _choice(("maildir", "smtp", "http"))]
    url: Annotated[str, _check_text(_check_hook)] | None = None
    host: str | None = None
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    tls: Annotated[Literal["none", "starttls", "tls"], _choice(("none", "starttls", "tls"))] = (
        "starttls"
    )


class WarmUp(_Strict):
    """A new sender's ramp: on day n at most start × growth^(n−1), until `per_day` is reached.

    `from` is day 1; left out, that is the day of the sender's first send in the ledger.
    """

    start: int = Field(ge=1)
    growth: float = Field(ge=1, le=10)
    from_: Date | None = Field(default=None, alias="from")


class SenderLimits(_Strict):
    """Contacts of one sender per day and hour of `timezone`."""

    per_day: Cap | None = None
    per_hour: Cap | None = None
    warm_up: WarmUp | None = None


class WorkspaceLimits(_Strict):
    """Limits that hold across all sequences (R10, R11).

    Of one lead: contacts per day and per 7 days of the lead's calendar, elapsed time between two.
    Of one recipient domain, `*` for each that is not named: mails per day and hour of `timezone`.
    """

    lead_per_day: Cap | None = None
    lead_per_week: Cap | None = None
    contact_gap: Gap | None = None
    domain_per_day: dict[Domain, Cap] = {}
    domain_per_hour: dict[Domain, Cap] = {}


class Sender(_Strict):
    """Who writes: an address on one channel, by one transport.

    `to` is for gateways (mail to SMS, calls, WhatsApp): a template of the recipient, such as
    `{{ phone }}@sms.example`. Calls and WhatsApp messages without it go to the sender's own
    address, for somebody to make. Webhooks and forms go to the address of their transport; a form's
    sender may have its own, whose name is `{{ sender_name }}`.

    `cost` is of one message, in the workspace's currency; a message keeps that of its hand-over.
    """

    channel: ChannelName
    address: Annotated[str, _check_text(_check_address)] = ""
    transport: str = "maildir"
    to: str | None = None
    cost: Money | None = None
    limits: SenderLimits = SenderLimits()


class Targets(_Strict):
    """What rates of mail ought to be, a week of one sender at a time; null = no target.

    Opens have none by default, since mail programs open by themselves. Providers advise less than
    0.1 % complaints and refuse from 0.3 % on.
    """

    delivery_rate_per_sent: Percent | None = 0.95
    open_rate_per_delivered: Percent | None = None
    click_rate_per_delivered: Percent | None = 0.03
    bounce_rate_per_sent: Percent | None = 0.03
    complaint_rate_per_delivered: Percent | None = 0.001

    def as_rows(self) -> list[tuple[str, float, bool]]:
        """Return metric, target and whether it is the least that is good; else it is the most."""
        return [
            (metric, target, metric not in _CEILINGS)
            for metric, target in self.model_dump().items()
            if target is not None
        ]


_CEILINGS = ("bounce_rate_per_sent", "complaint_rate_per_delivered")


class Workspace(_Strict):
    """workspace.yml: what all sequences share.

    `attribution` is the way to share out revenue that reports take where they show one; the mart
    `revenue_attribution` has them all. `rates` say what one unit of another currency is worth in
    the workspace's, from which date on (`EUR: {2026-01-01: 1.08}`); money of a day without a rate
    counts as a conversion without revenue, and a refresh warns.
    """

    name: str = Field(min_length=1)
    timezone: Zone
    currency: Currency = "USD"
    rates: dict[Currency, dict[Date, Rate]] = {}
    base_url: Annotated[str, _check_text(_check_url)] = "http://127.0.0.1:8800"
    address: str = ""
    attributes: list[Word] = []
    account: Word | None = None
    holdout: Percent = 0.0
    attribution: Annotated[
        Literal["first", "last", "linear", "position", "time_decay"], _choice(ATTRIBUTIONS)
    ] = "last"
    transports: dict[Name, Transport] = {"maildir": Transport(kind="maildir")}
    senders: dict[Name, Sender]
    default_senders: dict[ChannelName, str] = {}
    goals: dict[Word, Annotated[str, _check_text(_check_goal_source)]] = {}
    quiet_hours: dict[
        ChannelName, Annotated[tuple[tuple[int, int], ...], BeforeValidator(_read_quiet)]
    ] = {}
    limits: WorkspaceLimits = WorkspaceLimits()
    targets: Targets = Targets()

    @field_validator("rates")
    @classmethod
    def _check_rates(
        cls, value: dict[str, dict[date, Decimal]], info: ValidationInfo
    ) -> dict[str, dict[date, Decimal]]:
        own = info.data.get("currency")
        if own in value:
            raise ValueError(f"{own} is the workspace's own currency: remove its rates")
        return value

    def rates_as_rows(self) -> list[tuple[str, date, Decimal]]:
        """Return currency, first date and rate: what one unit is worth in the workspace's."""
        return [
            (currency, since, rate)
            for currency, dated in self.rates.items()
            for since, rate in dated.items()
        ]

    def quiet_on(self, channel: str) -> tuple[tuple[int, int], ...]:
        """Return the quiet hours of a channel, none where nothing is written."""
        return next((hours for name, hours in self.quiet_hours.items() if name == channel), ())

    def default_sender(self, channel: str) -> str | None:
        """Return the sender of steps that name none: the default, else the only one there is."""
        if channel in self.default_senders:
            return self.default_senders[channel]  # type: ignore[index]  # checked in the line above
        names = [name for name, sender in self.senders.items() if sender.channel == channel]
        return names[0] if len(names) == 1 else None


class EnrollEventFile(_Strict):
    """An event that enrolls its lead; a person's, where machines open and click too."""

    kind: Annotated[str, _choice(tuple(EventKind))]
    name: Word | None = None
    url: str | None = Field(default=None, min_length=1)
    value: Word | None = None


class EnrollFile(_Strict):
    """Who enters a sequence."""

    when: str | None = None
    event: EnrollEventFile | None = None
    max_leads: int | None = Field(default=None, ge=1)
    priority: int = Field(default=0, ge=-1000, le=1000)
    reenter: Annotated[Literal["never", "auto"], _choice(("never", "auto"))] = "never"
    cooldown: Seconds = 30 * 86400
    holdout: Percent = 0.0


class CalendarFile(_Strict):
    """When a sequence may contact people (R3).

    With `preferred_hours`, mails and texts go out in the hours of the day that worked best so far,
    as the last refresh scored them. Of blocks of four hours (00:00 to 04:00, …) that are still open
    on the day, the best gets 85 % of the messages; 15 % are spread over all, so that each can go on
    being judged. Windows, limits and `late` stay as they are, and nobody waits for another day.
    Until 1,000 messages have had seven days and 20 were answered, messages go out at once. `drip
    why` tells what was drawn, `drip query "from analysis.send_times"` the scores.
    """

    timezone: Annotated[str, _check_text(_check_lead_zone)] = "lead"
    fallback_timezone: Zone = "America/New_York"
    days: Annotated[tuple[int, ...], BeforeValidator(_read_days)] = (0, 1, 2, 3, 4)
    hours: Hours = ((540, 1020),)
    holidays: Annotated[tuple[str, ...], BeforeValidator(read_holidays)] = ()
    preferred_hours: bool = False


class LimitsFile(_Strict):
    """Caps (R10, K23): contacts per workspace day and hour, and per enrollment for life.

    `lead_per_day`, `lead_per_week` and `contact_gap` stand here in place of the workspace's.
    """

    per_day: Cap | None = None
    per_hour: Cap | None = None
    per_lead: int = Field(default=5, ge=1, le=60)
    lead_per_day: Cap | None = None
    lead_per_week: Cap | None = None
    contact_gap: Gap | None = None


class ReactionFile(_Strict):
    """What an event does to the enrollment; a pause waits for a person, or for `resume_after`."""

    do: Annotated[Literal["stop", "pause", "continue"], _choice(_ACTIONS)]
    resume_after: Seconds | None = None

    @model_validator(mode="after")
    def _check(self) -> "ReactionFile":
        if self.resume_after is not None and self.do != "pause":
            raise ValueError(f"nothing to resume after {self.do}: write `do: pause`")
        return self


def _read_reaction(value: object) -> object:
    """Take a word for a reaction without more: `stop` is `{do: stop}`."""
    if isinstance(value, dict | ReactionFile):
        return value
    if value not in _ACTIONS:
        how = "stop, pause, continue or {do: pause, resume_after: 3d}"
        raise ValueError(f"{value!r} is no reaction: write {how}")
    return {"do": value}


class GoalFile(_Strict):
    """What the sequence is for."""

    event: Annotated[Literal["converted"], _choice(("converted",))] = "converted"
    name: Word
    within: Seconds | None = None


class RetryFile(_Strict):
    """R7."""

    attempts: int = Field(default=3, ge=1, le=20)
    backoff: Seconds = 60
    then: Annotated[Literal["skip", "exit"], _choice(("skip", "exit"))] = "skip"


class LateFile(_Strict):
    """R4."""

    after: Seconds = 86400
    then: Annotated[Literal["skip", "send"], _choice(("skip", "send"))] = "skip"


class VariantFile(_Strict):
    """One arm: what it says, who says it, when, by which channel, or that it says nothing."""

    id: Name
    sender: str | None = None
    subject: str | None = None
    body: str | None = None
    text: str | None = None
    script: str | None = None
    title: str | None = None
    note: str | None = None
    after: After | None = None
    hours: Hours | None = None
    channel: ChannelName | None = None
    present: bool = True


class DecideFile(_Strict):
    """How the experiment is decided.

    `expected_loss: 2%` also takes the arm that costs less than 2 % of the base rate on average,
    once 20 comparisons of its kind are finished to learn from; `margin: 10%` says, when a plan is
    used up, whether arms are equivalent within 10 % of the control's rate.
    """

    mode: Annotated[Literal["open", "planned"], _choice(("open", "planned"))] = "open"
    leads: int | None = Field(default=None, ge=10)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    auto: bool = False
    guardrails: list[Annotated[Guardrail, _choice(GUARDRAILS)]] = Field(
        default=[*GUARDRAILS], max_length=len(GUARDRAILS)
    )
    expected_loss: Percent | None = None
    margin: Percent | None = None


class ExperimentFile(_Strict):
    """A test on one step."""

    id: Name
    unit: Annotated[Literal["lead", "account"], _choice(("lead", "account"))] = "lead"
    control: str
    share: Percent = 1.0
    metric: Annotated[str, _check_text(_check_metric)]
    window: Seconds = 14 * 86400
    allocation: Annotated[
        Literal["equal", "weights", "thompson"], _choice(("equal", "weights", "thompson"))
    ] = "equal"
    weights: dict[str, Percent] | None = None
    decide: DecideFile = DecideFile()
    variants: list[VariantFile] = Field(min_length=2, max_length=10)


class WaitForFile(_Strict):
    """What a step waits for, and how long at most (R1)."""

    event: Annotated[str, _choice(tuple(EventKind))]
    name: Word | None = None
    step: str | None = None
    url: str | None = None
    timeout: Annotated[Delay, BeforeValidator(parse_delay)]
    on_timeout: Annotated[Literal["continue", "exit"], _choice(("continue", "exit"))] = "continue"


class CaseFile(_Strict):
    """One way of a branch; without `when` it is the way of all others."""

    when: str | None = None
    steps: "list[StepFile]" = []


class StepFile(_Strict):
    """One step: a message (`channel`), a `wait`, a `wait_for`, a `branch`, or an `end`."""

    id: Name
    after: After | None = None
    when: str | None = None
    channel: ChannelName | None = None
    sender: str | None = None
    subject: str | None = None
    body: str | None = None
    text: str | None = None
    script: str | None = None
    title: str | None = None
    note: str | None = None
    assignee: Annotated[str, _check_text(_check_address)] | None = None
    payload: dict[FieldName, Told] | None = Field(default=None, min_length=1)
    retry: RetryFile | None = None
    late: LateFile | None = None
    experiment: ExperimentFile | None = None
    wait: After | None = None
    wait_for: WaitForFile | None = None
    holdout: Percent | None = None
    branch: list[CaseFile] | None = Field(default=None, min_length=1)
    end: Annotated[Literal["inactive", "completed"], _choice(("inactive", "completed"))] | None = (
        None
    )


class SequenceFile(_Strict):
    """A sequence as a person writes it."""

    name: str | None = Field(default=None, min_length=1, max_length=120)
    description: str = ""
    status: Annotated[
        Literal["draft", "active", "paused", "archived"],
        _choice(
            ("draft", "active", "paused", "archived"),
            completed="completed is derived, nobody writes it: write archived",
        ),
    ] = "draft"
    drain: bool = False
    owner: str = ""
    campaign: Name | None = None
    tags: list[Name] = Field(default=[], max_length=20)
    overlap: bool = False
    category: Annotated[
        Literal["cold", "nurture", "follow_up", "win_back", "custom"],
        _choice(("cold", "nurture", "follow_up", "win_back", "custom")),
    ] = "custom"
    enroll: EnrollFile = EnrollFile()
    calendar: CalendarFile = CalendarFile()
    limits: LimitsFile = LimitsFile()
    react: dict[
        Annotated[str, _choice(tuple(REACTIONS))],
        Annotated[ReactionFile, BeforeValidator(_read_reaction)],
    ] = {}
    goal: GoalFile | None = None
    steps: list[StepFile] = Field(min_length=1)

    # Before the fields are checked: what a category stands for is written as a person would.
    _preset = model_validator(mode="before")(with_preset)


def read_model(model: type[Model], source: YamlFile, found: list[Problem]) -> Model | None:
    """Check the file against the model; problems are added to `found`.

    Returns:
        The checked file, or None when it has problems.
    """
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        found.extend(_problem_of(detail, model, source) for detail in error.errors())
        return None


_MESSAGES = {
    "string_type": 'must be text: write it in "quotes"',
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "does not have the right form: {pattern}",
    "int_type": "must be a whole number without quotes",
    "float_type": "must be a number without quotes",
    "bool_type": "must be true or false",
    "list_type": "must be a list: one `- ` line per item",
    "dict_type": "must hold `key: value` lines",
    "model_type": "must hold `key: value` lines",
    "model_attributes_type": "must hold `key: value` lines",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "too_short": "needs at least {min_length} item(s)",
    "too_long": "may have at most {max_length} items",
}


def _problem_of(detail: ErrorDetails, model: type[BaseModel], source: YamlFile) -> Problem:
    path: KeyPath = tuple(part for part in detail["loc"] if part != "[key]")
    kind, context = detail["type"], detail.get("ctx", {})
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return source.problem(path, _unknown_field(name, path[:-1], model, source))
    if kind == "missing":
        return source.problem(path, f"{name} is missing: add `{name}:`")
    if kind == "value_error":
        return source.problem(path, str(context["error"]))
    message = _MESSAGES.get(kind, detail["msg"]).format(**context)
    return source.problem(path, f"{name or 'the file'} {message}")


def _unknown_field(name: str, parent: KeyPath, model: type[BaseModel], source: YamlFile) -> str:
    if name in NOT_YET:
        return NOT_YET[name]
    fields = _fields_at(model, parent)
    return f"unknown field {name!r}.{suggest(name, fields)}"


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """List the fields of the model that stands at a key path, by walking its schema."""
    schema: dict[str, Any] = model.model_json_schema()
    definitions = schema.get("$defs", {})
    node = schema
    for part in path:
        node = _resolve(node, definitions)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part, node.get("additionalProperties", {}))
    return list(_resolve(node, definitions).get("properties", {}))


def _resolve(node: object, definitions: dict[str, Any]) -> dict[str, Any]:
    while isinstance(node, dict) and "properties" not in node:
        options = [option for option in node.get("anyOf", []) if option.get("type") != "null"]
        if "$ref" in node:
            node = definitions[node["$ref"].rsplit("/", 1)[-1]]
        elif options:
            node = options[0]
        else:
            break
    return node if isinstance(node, dict) else {}
