"""How worlds are drawn: small ones, in every feature, with a bias for what goes wrong.

From a seed, and without Hypothesis: it gives up on what is as large as a universe, the richest ones
first, and draws others in another process. `telling.explain` makes them smaller, since it knows what
a world is.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.reference.worlds import (
    ADDRESSES,
    DEFAULT_REACTIONS,
    PROXY,
    READER,
    SCANNERS,
    TEXTS,
    URLS,
    Arm,
    Beat,
    Calendar,
    Condition,
    Delay,
    Edit,
    Happening,
    House,
    Lead,
    Mailbox,
    Order,
    Sequence,
    Step,
    Test,
    Trigger,
    Universe,
    Way,
    World,
)

Draw = Random

# Before clocks change in America, Europe, Egypt, Australia; a leap day; the end of a year; nothing.
STARTS = [
    datetime(2026, 3, 5, 14, 0, tzinfo=UTC),
    datetime(2026, 10, 29, 3, 30, tzinfo=UTC),
    datetime(2026, 3, 26, 8, 15, tzinfo=UTC),
    datetime(2026, 10, 22, 17, 0, tzinfo=UTC),
    datetime(2026, 4, 2, 22, 0, tzinfo=UTC),
    datetime(2026, 4, 21, 12, 0, tzinfo=UTC),
    datetime(2026, 9, 3, 1, 45, tzinfo=UTC),
    datetime(2028, 2, 26, 13, 0, tzinfo=UTC),
    datetime(2026, 12, 29, 20, 0, tzinfo=UTC),
    datetime(2026, 6, 10, 15, 0, tzinfo=UTC),
]
ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Cairo",
    "America/Havana",
    "America/Santiago",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Europe/Dublin",
    "America/Nuuk",
    "Africa/Casablanca",
    "America/Los_Angeles",
]
HOURS = [
    ("00:00-24:00",),
    ("09:00-17:00",),
    ("08:00-12:00", "13:30-18:00"),
    ("22:00-02:00",),
    ("00:00-06:00", "20:15-23:45"),
    ("01:30-03:00",),
]
DAYS = [
    ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    ("mon", "tue", "wed", "thu", "fri"),
    ("fri", "sat", "sun"),
    ("sun",),
]
HOLIDAYS = [
    (),
    (),
    ("US",),
    ("DE-BY",),
    # A fortnight of one's own around most starts, every year.
    ("US", *(f"03-{day:02}" for day in range(5, 19)), *(f"10-{day}" for day in range(24, 31))),
]
OTHER_PERCENTS = {2: [(50, 50), (10, 90)], 3: [(30, 30, 40), (10, 20, 70)]}
GAPS = [0, 1, 30, 90, 240, 720, 720, 720, 1440, 1440, 1500, 2880, 10080]
OF_PLAN: Condition = ("lead", "plan", "pro")
AGENTS = [READER, PROXY, READER, *SCANNERS, None]


DOMAINS = ["mail", "mail", "post"]


def one_in(draw: Draw, number: int) -> bool:
    return draw.randrange(number) == 0


def pick(draw: Draw, options: Any) -> Any:
    return draw.choice(options)


def draw_delay(draw: Draw) -> Delay:
    since = "enrollment" if one_in(draw, 6) else "previous"
    texts = [(0, "m"), (10, "m"), (90, "m"), (1, "h"), (26, "h"), (1, "d"), (1, "d"), (1, "w")]
    amount, unit = pick(draw, [*texts, (1, "bd"), (3, "bd"), (0, "bd"), (0, "d"), (2, "d")])
    return Delay(amount, unit, since)


def draw_condition(draw: Draw, before: list[str], depth: int = 0) -> Condition:
    """A condition over steps that may lie on the path before; R5 wants `sent` beside a `not opened`."""
    if depth < 2 and one_in(draw, 4):
        left, right = (draw_condition(draw, before, depth + 1) for _ in range(2))
        return (pick(draw, ["and", "or"]), left, right)
    of_lead = draw_lead_condition(draw)
    if not before or one_in(draw, 3):
        plain = [("replied",), ("not", ("replied",)), ("converted",), of_lead]
        return pick(draw, [*plain, ("count_sends", 1), ("count_sends", 2), ("days_since", 1.5)])
    step = pick(draw, before)
    what = pick(draw, [("opened", step), ("clicked", step), ("clicked", step, "*pricing*")] * 2)
    if one_in(draw, 6):
        what = ("answered", step)
    if one_in(draw, 8):
        return ("and", ("sent", step), ("since", step, 1.5))
    return pick(
        draw,
        [
            ("sent", step),
            ("not", ("sent", step)),
            what,
            ("and", ("sent", step), ("not", what)),
        ],
    )


def draw_lead_condition(draw: Draw) -> Condition:
    plain = pick(draw, [("lead", "country", "US"), OF_PLAN, ("unknown", "timezone")])
    return ("not", plain) if one_in(draw, 3) else plain


class StepMaker:
    """Draws the steps of one sequence, branches within branches included."""

    def __init__(self, draw: Draw, name: str, has_tests: bool, goal: str | None) -> None:
        self.draw, self.name, self.has_tests, self.goal = draw, name, has_tests, goal
        self.number = 0

    def steps(self, least: int, most: int, before: list[str], depth: int = 0) -> tuple[Step, ...]:
        found: list[Step] = []
        before = list(before)
        for _ in range(self.draw.randint(least, most)):
            is_first = not before and not found and depth == 0
            step = self.step(before, depth, is_first=is_first)
            found.append(step)
            before += names_of(step)
            if ends_every_path(step):
                break
            if self.number > 8:
                break
        return tuple(found)

    def step(self, before: list[str], depth: int, *, is_first: bool) -> Step:
        draw = self.draw
        self.number += 1
        name = f"{self.name[-1]}{self.number}"
        after = draw_delay(draw) if one_in(draw, 3 if is_first else 1) else None
        when = draw_condition(draw, before) if one_in(draw, 8 if is_first else 4) else None
        kinds = ["email", "email", "sms", "email"]
        if depth < 2:
            kinds += ["branch"]
        if not is_first:
            kinds += ["end"]
        kinds += pick(
            draw, [["call"], ["task"], ["form"] * 2, ["best"], ["wait"], ["wait_for"] * 2]
        )
        kind = pick(draw, kinds)
        if kind == "wait":
            return Step(name, kind, draw_delay(draw))
        if kind == "wait_for":
            return self.wait_for(name, before)
        if kind == "end":
            return Step(name, kind, after, when, end=pick(draw, ["completed", "inactive"]))
        if kind == "branch":
            count = draw.randint(1, 2)
            ways = [
                Way(draw_condition(draw, before), self.steps(0, 2, before, depth + 1))
                for _ in range(count)
            ]
            if one_in(draw, 2):
                ways.append(Way(None, self.steps(1, 2, before, depth + 1)))
            return Step(name, kind, after, when, ways=tuple(ways))
        test = self.test(name, kind, after) if self.is_tested(kind) else None
        attempts, backoff, then = 3, 1, "skip"
        if one_in(draw, 2):
            attempts = draw.randint(1, 4)
            backoff, then = pick(draw, [1, 10, 120, 0]), pick(draw, ["skip", "exit"])
        late, late_then = 1440, "skip"
        if one_in(draw, 2):
            late, late_then = pick(draw, [240, 5, 4320]), pick(draw, ["send", "send", "skip"])
        world = self.name.partition("-")[0]
        sender = f"{world}-{kind}" if kind in ("email", "sms") and one_in(draw, 2) else None
        made = Step(name, kind, after, when, attempts, backoff, then, late, late_then, test, sender)
        # Accounts are drawn whole, leads held out one by one: not both.
        is_by_account = test is not None and test.unit == "account"
        share = 0 if is_by_account else pick(draw, [0, 0, 0, 0, 30])
        return replace(made, holdout_percent=share)

    def is_tested(self, kind: str) -> bool:
        return kind in ("email", "sms", "form") and self.has_tests and one_in(self.draw, 3)

    def wait_for(self, name: str, before: list[str]) -> Step:
        """Most waits are over before their time-out, when ticks are far apart."""
        draw = self.draw
        events = ["opened", "clicked", "replied", "opened", "bounced", "call_answered"]
        event = pick(draw, [*events, "converted"] if self.goal else events)
        timeout = pick(draw, [Delay(2, "d"), Delay(1, "w"), Delay(90, "m"), Delay(2, "bd")])
        return Step(
            name,
            "wait_for",
            timeout,
            event=event,
            of=pick(draw, [None, *before]) if event != "converted" else None,
            link="*pricing*" if event == "clicked" and one_in(draw, 2) else None,
            then=pick(draw, ["continue", "continue", "exit"]),
        )

    def test(self, name: str, kind: str, after: Delay | None) -> Test:
        draw = self.draw
        others = ["content", "content", "send_time", "channel", "presence"]
        if kind == "form":
            # An arm has no payload of its own.
            others = ["send_time", "presence"]
        varies = "delay" if after and one_in(draw, 3) else pick(draw, others)
        percents = pick(draw, [(50, 50), (20, 80), (30, 30, 40)])
        arms = tuple(
            Arm("abc"[place], percent, **self.change(varies, kind, place))
            for place, percent in enumerate(percents)
        )
        # In the order in which the reference draws: earlier tests draw one settled step at a time.
        unit = pick(draw, ["lead", "account", "account"]) if varies == "content" else "lead"
        control, percent = pick(draw, ["a", "b"]), pick(draw, [100, 60])
        return Test(f"{self.name}-{name}", control, percent, varies, arms, unit)

    def change(self, varies: str, kind: str, place: int) -> dict[str, Any]:
        """What an arm has that the step has not; the first one always has something."""
        draw = self.draw
        if place and one_in(draw, 2):
            return {}
        if varies == "delay":
            return {"after": draw_delay(draw)}
        if varies == "send_time":
            return {"hours": pick(draw, HOURS)}
        if varies == "channel":
            return {"channel": "email" if kind == "sms" else "sms"}
        if varies == "presence":
            return {"is_present": place > 0}
        return {"sender": "second"} if kind == "email" else {}


def ends_every_path(step: Step) -> bool:
    """Whether a file may have nothing behind a step: an end, or a branch whose every way has one."""
    if step.kind != "branch" or step.when is not None:
        return step.kind == "end" and step.when is None
    return step.ways[-1].when is None and all(any(map(ends_every_path, w.steps)) for w in step.ways)


def names_of(step: Step) -> list[str]:
    """The message steps that may lie on the path once this step is passed."""
    if step.kind in TEXTS:
        return [step.name]
    return [name for way in step.ways for inner in way.steps for name in names_of(inner)]


def draw_calendar(draw: Draw) -> Calendar:
    if one_in(draw, 2):
        return Calendar()
    zone = pick(draw, ["lead", "lead", *ZONES[:8]])
    # To prefer an hour needs a choice: days that are open, for long.
    prefers_hours = one_in(draw, 2)
    return Calendar(
        zone,
        pick(draw, ZONES[:3]),
        pick(draw, DAYS[:2] if prefers_hours else DAYS),
        pick(draw, [*HOURS[:1] * 3, *HOURS[1:5]] if prefers_hours else HOURS),
        pick(draw, HOLIDAYS),
        prefers_hours=prefers_hours,
    )


def draw_scores(
    draw: Draw, sequences: tuple[Sequence, ...]
) -> tuple[tuple[str, tuple[float | None, ...]], ...]:
    """What is published of the hours of each sequence: much, with a gap, or nothing at all."""
    found = []
    for sequence in sequences:
        much = [0.1, 0.2, 0.3]
        worth = pick(draw, [much, much, much, much, [*much * 6, None], [0.5], []])
        if worth:
            found.append((sequence.name, tuple(pick(draw, worth) for _ in range(42))))
    return tuple(found)


def draw_sequence(draw: Draw, name: str, sources: list[str]) -> Sequence:
    pauses = ["pause", "pause for 30", "pause for 2880"]
    actions = [None, None, None, *pauses, "continue", "continue", "continue"]
    react = [(kind, pick(draw, actions)) for kind in DEFAULT_REACTIONS]
    if one_in(draw, 2):
        # Nothing stops: then suppression alone must.
        react = [(kind, "continue") for kind in ("unsubscribed", "complained", "bounced")]
    goal = pick(draw, ["sale", None])
    entry = draw_entry(draw, f"{name.split('-', maxsplit=1)[0]}-spring")
    only = draw_lead_condition(draw) if one_in(draw, 4) else None
    most = 5
    if one_in(draw, 6):
        # Who turns into a rule again has been through it: it is short.
        entry |= {"reenter": "auto", "cooldown_hours": 0, "event": None}
        only, most = OF_PLAN, 2
    elif one_in(draw, 6):
        # So is what an event begins that comes twice.
        entry |= {"reenter": "auto", "cooldown_hours": 0, "event": pick(draw, TRIGGERS[1:3])}
        most = 2
    return Sequence(
        name=name,
        steps=StepMaker(draw, name, one_in(draw, 2), goal).steps(most // 2, most, []),
        sources=tuple(sources[: draw.randint(1, len(sources))]),
        status="paused" if one_in(draw, 12) else "active",
        only=only,
        goal=goal,
        holdout_percent=pick(draw, [0, 0, 0, 20, 50]),
        max_leads=pick(draw, [None, None, None, None, None, 1, 3]),
        **entry,
        per_day=pick(draw, [None, None, None, 1, 2, 4]),
        per_hour=pick(draw, [None, None, None, None, 1, 3]),
        lead_per_day=pick(draw, [None, None, None, None, None, None, 1, 2]),
        contact_gap=pick(draw, [None, None, None, None, None, None, 60, 1500]),
        calendar=draw_calendar(draw),
        react=tuple((kind, action) for kind, action in react if action),
    )


def draw_house(draw: Draw, count_worlds: int) -> House:
    """Limits that hold in every world; each has domains of its own."""
    house = House()
    if one_in(draw, 2):
        house = House(
            lead_per_day=pick(draw, [None, 1, 1, 2]),
            lead_per_week=pick(draw, [None, 1, 2, 3]),
            contact_gap=pick(draw, [None, None, 60, 720, 2880]),
        )
    if not one_in(draw, 3):
        days, hours = {}, {}
        for number in range(count_worlds):
            days[f"mail.w{number}.example"] = draw.randint(1, 3)
            hours[f"post.w{number}.example"] = draw.randint(1, 2)
        if one_in(draw, 2):
            days["*"] = hours["*"] = 3
        per_day, per_hour = tuple(days.items()), tuple(hours.items())
        house = House(house.lead_per_day, house.lead_per_week, house.contact_gap, per_day, per_hour)
    return replace(house, holdout_percent=pick(draw, [0, 0, 0, 10, 30]))


def draw_mailbox(draw: Draw, world: str, channel: str, start: datetime) -> Mailbox:
    ramp = pick(draw, [None, None, 1, 2])
    per_day = pick(draw, [5, 20] if ramp else [None, 2, 5])
    first_on = start.date() + timedelta(days=draw.randint(-3, 4))
    return Mailbox(
        f"{world}-{channel}",
        channel,
        per_day,
        pick(draw, [None, None, 1, 3]),
        ramp,
        pick(draw, [100, 150, 200]),
        first_on.isoformat() if one_in(draw, 3) else None,
    )


TRIGGERS = [
    Trigger("clicked", url="*pricing?"),
    Trigger("custom", name="stage", value="demo"),
    Trigger("custom", name="stage"),
    Trigger("replied"),
]


def draw_entry(draw: Draw, campaign: str) -> dict[str, Any]:
    """Who may enter when others do, and whether again."""
    found: dict[str, Any] = {"priority": pick(draw, [0, 0, 1])}
    if one_in(draw, 2):
        found |= {"campaign": campaign, "overlap": one_in(draw, 5)}
    if not one_in(draw, 3):
        found |= {"reenter": "auto", "cooldown_hours": pick(draw, [0, 0, 1, 24, 48])}
    if one_in(draw, 3):
        trigger = pick(draw, TRIGGERS)
        # Clicks that wait to be judged are the world's own, like everything that says what is next.
        url = trigger.url and trigger.url + campaign.removesuffix("-spring")
        found["event"] = replace(trigger, url=url)
    return found


def draw_lead(draw: Draw, name: str, number: int, sources: list[str]) -> Lead:
    phones = [f"+1555{number:04d}{place:03d}" for place in (0, int(name.rpartition("l")[2]) + 1)]
    has_email = not one_in(draw, 8)
    # Two may share a phone, if both have an address of their own.
    phone = pick(
        draw, [phones[1], phones[1], phones[1], phones[0] if has_email else phones[1], None]
    )
    return Lead(
        name=name,
        source=pick(draw, sources),
        has_email=has_email,
        phone=phone,
        country=pick(draw, ["US", "DE", None]),
        zone=pick(draw, [None, *ZONES]),
        plan=pick(draw, ["pro", "pro", "free", None]),
        age_hours=pick(draw, [0, 0, 3]),
        domain=f"{pick(draw, DOMAINS)}.{name.partition('-')[0]}.example",
    )


@dataclass(frozen=True)
class When:
    """How many ticks there are, before which of them claims are in somebody's hands or files change."""

    beats: int
    between: tuple[int, ...]
    edits: int = 0
    back: int = 0  # when files that were paused are active again; 0 = never


KINDS = ["opened", "clicked", "opened", "clicked", "replied", "replied", "converted", "converted"]
RARE_KINDS = [
    "call_answered",
    "unsubscribed",
    "unsubscribed",
    "subscribed",
    "bounced",
    "complained",
    "auto_replied",
]
STRANGE_KINDS = ["meeting_booked", "rejected", "conversion_reversed", "custom", "custom"]


def own_url(url: str, lead: Lead) -> str:
    """A page of the lead's world."""
    return f"{url}?{lead.name.partition('-')[0]}"


def draw_event(draw: Draw, lead: Lead, arrival: int, when: When) -> list[Happening]:
    kind = pick(draw, [*KINDS, *RARE_KINDS, *STRANGE_KINDS])
    # Late rather than early, since most events answer something; some in the middle of a hand-over.
    last = when.beats - 1
    beat = max(draw.randint(min(arrival, last), last) for _ in range(2))
    if when.between and one_in(draw, 3):
        beat = max(pick(draw, when.between), min(arrival, last))
    is_engagement = kind in ("opened", "clicked")
    ago = pick(draw, [0, 0.05, 1 / 6, 0.5, 5, 55, 600])
    # Opens and clicks come soon, so that the last hour, which is judged together, holds them all.
    late = pick(draw, [0, 0.01, 0.5, 9] if is_engagement else [0, 0, 1, 90, 2000, 6000])
    addresses = [a for a in ADDRESSES if (kind, a) != ("subscribed", "phone")]
    common = {
        "beat": beat,
        "lead": lead.name,
        "minutes_ago": ago,
        "nth": pick(draw, [0, 1, 2, None] if not is_engagement else [0, 1, 2]),
        "hasty_seconds": pick(draw, [None, 0.5, 1.5, 60]) if is_engagement else None,
        "by": pick(draw, addresses),
        "again": one_in(draw, 5),
    }
    if not is_engagement:
        goal = "demo" if one_in(draw, 4) else "sale"
        word = pick(draw, ["demo", "demo", "won"]) if kind == "custom" else None
        return [Happening(kind=kind, minutes_late=late, goal=goal, word=word, **common)]
    common["source"] = pick(draw, ["tracker", "webhook:webhook"])
    common["agent"] = pick(draw, AGENTS)
    if kind == "clicked" and one_in(draw, 3):
        # A scanner follows every link within two seconds.
        common["hasty_seconds"] = None
        lateness = [late, late + 0.01, late + 0.02]
        return [
            Happening(kind=kind, minutes_late=lateness[place], url=own_url(url, lead), **common)
            for place, url in enumerate(URLS)
        ]
    url = own_url(pick(draw, URLS), lead) if kind == "clicked" else None
    return [Happening(kind=kind, minutes_late=late, url=url, **common)]


def draw_world(
    draw: Draw,
    number: int,
    when: When,
    most_leads: int,
    *,
    has_edit: bool,
    house: House,
    start: datetime,
) -> World:
    """One world of up to three sequences."""
    beats = when.beats
    name = f"w{number}"
    sources = [f"W{number}A", f"W{number}B"]
    sequences = tuple(
        draw_sequence(draw, f"{name}-{letter}", sources) for letter in "xyz"[: draw.randint(1, 3)]
    )
    least = 1 if most_leads <= 12 else most_leads
    count = draw.randint(least, most_leads)
    leads = tuple(draw_lead(draw, f"{name}-l{place}", number, sources) for place in range(count))
    happenings: list[Happening] = []
    for lead in leads:
        arrival = pick(draw, [0, 0, 0, 2, beats // 2])
        happenings.append(
            Happening(
                min(arrival, beats - 1), "arrives", lead.name, minutes_ago=pick(draw, [0, 20])
            )
        )
        for _ in range(draw.randint(0, 3)):
            happenings += draw_event(draw, lead, arrival + 1, when)
        if one_in(draw, 4) and arrival < beats // 2:
            # All in the same tick: after a change every rule of the home looks at its leads again.
            happenings.append(draw_change(draw, lead, number, beats // 2))
        elif one_in(draw, 2) and arrival < beats // 4:
            happenings += draw_turns(draw, lead, beats)
        if when.between and one_in(draw, 3):
            # What was claimed and not handed over yet is asked for again.
            happenings.append(Happening(pick(draw, when.between), "unsubscribed", lead.name))
        if one_in(draw, 12):
            happenings += draw_second_thoughts(draw, lead, when)
        happenings += draw_requests(draw, lead, [s.name for s in sequences], beats)
        if one_in(draw, 2):
            beat = max(draw.randint(0, beats - 1) for _ in range(2))
            happenings.append(Happening(beat, "resumes", lead.name))
    return World(
        name=name,
        sequences=sequences,
        leads=leads,
        happenings=tuple(happenings),
        answers=tuple(
            pick(draw, ["accepted"] * 4 + ["later", "busy", "refused", "gone", "nothing"])
            for _ in range(draw.randint(1, 5))
        ),
        edits=draw_edits(draw, sequences, when) if has_edit else (),
        orders=draw_orders(draw, sequences, beats),
        mailboxes=tuple(draw_mailbox(draw, name, channel, start) for channel in ("email", "sms")),
        house=house,
        scores=draw_scores(draw, sequences),
    )


def draw_orders(draw: Draw, sequences: tuple[Sequence, ...], beats: int) -> tuple[Order, ...]:
    """A sequence is paused and resumed; sometimes twice, or told what is so already."""
    orders: list[Order] = []
    for sequence in sequences:
        if one_in(draw, 4):
            first, *others = sorted(draw.randint(1, beats - 1) for _ in range(3))
            orders.append(Order(first, "pause", sequence.name))
            orders += [
                Order(beat, pick(draw, ["resume", "resume", "pause"]), sequence.name)
                for beat in others
            ]
    return tuple(orders)


def draw_second_thoughts(draw: Draw, lead: Lead, when: When) -> list[Happening]:
    """Out, and in again."""
    first, then = sorted(draw.randint(0, when.beats - 1) for _ in range(2))
    return [
        Happening(beat, kind, lead.name, minutes_ago=0, minutes_late=0, nth=None)
        for beat, kind in ((first, "unsubscribed"), (then, "subscribed"))
    ]


def draw_turns(draw: Draw, lead: Lead, beats: int) -> list[Happening]:
    """Out of a rule and into it again, or called twice; for all leads in the same ticks, see above."""
    if one_in(draw, 2):
        return [
            Happening(beat, "custom", lead.name, word="demo") for beat in (beats // 4, beats - 2)
        ]
    return [
        Happening(beat, "changes", lead.name, fields=(("plan", plan),))
        for beat, plan in ((beats // 2, "free"), (beats - 3, "pro"))
    ]


def draw_requests(draw: Draw, lead: Lead, names: list[str], beats: int) -> list[Happening]:
    """Somebody asks to enroll a lead, whatever the rules say, or never to contact it again."""
    found = []
    while one_in(draw, 3) and len(found) < 3:
        found.append(
            Happening(
                beat=draw.randint(0, beats - 1),
                kind="blocks" if one_in(draw, 6) else "asks",
                lead=lead.name,
                minutes_ago=pick(draw, [0, 0.05, 5, 600]),
                sequence=pick(draw, [*names, *names, *names, "nowhere"]),
                starts_in=pick(draw, [None, None, 0, -60, 90, 3000]),
                by=pick(draw, ADDRESSES),
                again=one_in(draw, 5),
            )
        )
    return found


def draw_change(draw: Draw, lead: Lead, number: int, beat: int) -> Happening:
    options = [("timezone", pick(draw, ZONES)), ("country", "US"), ("plan", "pro")]
    if not lead.has_email:
        options.append(("email", lead.email))
    if not lead.phone:
        options.append(("phone", f"+1666{number:04d}{int(lead.name.rpartition('l')[2]):03d}"))
    return Happening(beat, "changes", lead.name, fields=(pick(draw, options),))


def draw_edits(draw: Draw, sequences: tuple[Sequence, ...], when: When) -> tuple[Edit, ...]:
    """One file changes."""
    old, beat = pick(draw, sequences), when.edits
    if one_in(draw, 6):
        return (Edit(beat, old.name, None),)
    new = draw_sequence(draw, old.name, list(old.sources))
    changed = {
        "status": pick(
            draw, ["active", "active", "active", "paused", "paused", "paused", "draft", "archived"]
        ),
        "calendar": new.calendar,
        "react": new.react,
        "per_day": new.per_day,
        "per_hour": new.per_hour,
        "lead_per_day": new.lead_per_day,
        "max_leads": new.max_leads,
    }
    if changed["status"] == "archived":
        changed["drain"] = pick(draw, [True, False])
    what = pick(draw, ["words", "words", "tests", "nothing"])
    if what == "words":
        changed |= {"steps": without_tests(new.steps), "goal": new.goal}
    elif what == "tests":
        changed |= {"steps": with_other_tests(draw, old.steps)}
    new = Sequence(**vars(old) | changed)
    edits = [Edit(beat, old.name, new)]
    if new.status in ("paused", "draft") and when.back:
        back = pick(draw, ["active", "active", "archived", None])
        edits.append(
            Edit(when.back, old.name, Sequence(**vars(new) | {"status": back}) if back else None)
        )
    return tuple(edits)


def with_other_tests(draw: Draw, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The same steps with other weights, another share, or under the same id another test."""
    found = []
    for step in steps:
        test = step.test
        if test:
            percents = pick(draw, OTHER_PERCENTS[len(test.arms)])
            arms = (replace(a, percent=p) for a, p in zip(test.arms, percents, strict=True))
            control = pick(draw, [test.control, test.control, "a"])
            share = pick(draw, [100, 60, 30])
            test = replace(test, arms=tuple(arms), control=control, percent=share)
        ways = (Way(way.when, with_other_tests(draw, way.steps)) for way in step.ways)
        found.append(replace(step, test=test, ways=tuple(ways)))
    return tuple(found)


def without_tests(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """An experiment's id names one test for ever; other steps need another id."""
    return tuple(
        Step(
            **vars(step)
            | {
                "test": None,
                "ways": tuple(Way(way.when, without_tests(way.steps)) for way in step.ways),
            }
        )
        for step in steps
    )


def draw_everything(draw: Draw, count_beats: int) -> dict[int, str]:
    """Now and then all stands still for some beats: by a command, by the STOP file, or by both."""
    if count_beats < 6 or not one_in(draw, 3):
        return {}
    first, then, last = sorted(draw.randint(1, count_beats - 2) for _ in range(3))
    stops = pick(draw, ["pause", "stop"])
    ends = ["resume"] if stops == "pause" else ["resume", "go"]
    return {first: stops, then: pick(draw, ["pause", "stop", ""]), last: pick(draw, ends)}


def draw_universe(seed: int, count_worlds: int, count_beats: int, most_leads: int = 12) -> Universe:
    """Worlds side by side in one home: a tick costs the same for one as for many."""
    draw = Draw(seed)
    everything = draw_everything(draw, count_beats)
    beats = tuple(
        Beat(
            minutes=pick(draw, GAPS),
            waits_for_due=one_in(draw, 2),
            leaves=one_in(draw, 3),
            reaches=pick(draw, ["nobody", "nobody", "half", "everybody"]),
            everything=everything.get(number, ""),
        )
        for number in range(count_beats)
    )
    between = tuple(place + 1 for place, beat in enumerate(beats[:-1]) if beat.leaves)
    edits = pick(draw, between) if between and one_in(draw, 2) else count_beats // 2
    back = draw.randint(edits + 1, count_beats - 1) if edits + 1 < count_beats else 0
    when = When(count_beats, between, edits, back)
    # Reading all files again is what takes longest.
    has_edit = not one_in(draw, 3)
    start, house = pick(draw, STARTS), draw_house(draw, count_worlds)
    return Universe(
        start=start,
        beats=beats,
        worlds=tuple(
            draw_world(draw, number, when, most_leads, has_edit=has_edit, house=house, start=start)
            for number in range(count_worlds)
        ),
    )
