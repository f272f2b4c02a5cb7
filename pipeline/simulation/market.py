"""How people behave: who arrives, what each does with a mail, and the machines before them. Pure.

Belongs here: draws from the truth, keyed so that the order of mails changes nothing.
Does not: the truth itself (`truth`), bytes of mails (`inbox`), requests and clocks (`drive`).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.simulation.inbox import Mail
from pipeline.simulation.truth import Truth, Waiting

SOURCES = {"META": 0.55, "WEBINAR": 0.30, "SHOP": 0.15}
TEXT_DOMAIN = "sms.example"

# Country, zone, share, dialling code.
_PLACES = (
    ("US", "America/New_York", 0.18, "+1212555"),
    ("US", "America/Chicago", 0.10, "+1312555"),
    ("US", "America/Los_Angeles", 0.12, "+1213555"),
    ("GB", "Europe/London", 0.20, "+4420794"),
    ("DE", "Europe/Berlin", 0.16, "+4930232"),
    ("FR", "Europe/Paris", 0.09, "+3319900"),
    ("IN", "Asia/Kolkata", 0.08, "+9111405"),
    ("AU", "Australia/Sydney", 0.07, "+6129009"),
)
_FIRST_NAMES = ("Ann", "Jürgen", "Zoë", "Priya", "Tom", "Marie", "Liam", "Olga", "Wei", "José")
_LAST_NAMES = ("Miller", "Schäfer", "Dubois", "Patel", "O'Brien", "Novak", "Smith", "Nguyễn")
_COURSES = ("Spanish", "French", "German", "Japanese")
_PLANS = ("monthly", "yearly")
_NO_ZONE_SHARE = 0.03
_NO_NAME_SHARE = 0.04
_PHONE_SHARE = 0.85
_QUIETEST_HOUR = 4
_WEEKEND, _WEEKEND_WEIGHT = 5, 0.5
_BROWSER_GAP = 20.0
_SCAN_SECONDS = 0.7
_EARLIEST_PURCHASE = 6 * 3600.0
_REPEATED_AFTER = timedelta(minutes=5)

PROXY_AGENT = "Mozilla/5.0"
_WEBMAIL_AGENT = (
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
)
_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)

Reader = Literal["proxy", "webmail", "program"]
What = Literal["visit", "leave", "report", "leads"]

_PEOPLE, _MAILS = 1, 2


@dataclass(frozen=True, slots=True)
class Person:
    """One lead with what nobody sees."""

    number: int
    source: str
    email: str
    phone: str | None
    first_name: str | None
    last_name: str
    country: str
    timezone: str | None
    attributes: dict[str, str]
    created_at: datetime
    known_at: datetime
    interest: float
    reader: Reader
    is_behind_gateway: bool
    is_wrong_address: bool
    is_refused: bool
    is_greylisted: bool
    buys_anyway_at: datetime | None

    @property
    def external_id(self) -> str:
        """The shop's own key."""
        return f"shop-{self.number:06d}"

    @property
    def client(self) -> str:
        """The address that this person's requests come from; documentation networks only."""
        return f"198.51.{100 + self.number // 250 % 100}.{self.number % 250 + 1}"

    def as_lead(self) -> dict[str, Any]:
        """Return what the form sends us."""
        lead = {
            "email": self.email,
            "phone": self.phone,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "external_id": self.external_id,
            "source": self.source,
            "country": self.country,
            "timezone": self.timezone,
            "created_at": self.created_at.isoformat(),
            "attributes": self.attributes,
        }
        return {name: value for name, value in lead.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Reaction:
    """One thing that somebody does to our server, and when.

    Attributes:
        what: visit an address, leave by the way out, report an event, or send new leads.
        kind: the event's name; `fetched` where a machine looks at a page that means nothing.
        is_repeat: a report that was delivered before, under the same id.
        report: body of a report; its `id` is that of the delivery.
    """

    at: datetime
    what: What
    kind: str
    path: str = ""
    agent: str = ""
    client: str = ""
    is_machine: bool = False
    is_repeat: bool = False
    report_id: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    leads: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class _Memory:
    """What a person remembers."""

    count_mails: int = 0
    last_mail_at: datetime | None = None
    has_bought: bool = False
    # From when on nothing may arrive, by channel.
    quiet_from: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Draws:
    """The chance in one person's dealings with one mail."""

    uniform: npt.NDArray[np.float64]
    normal: npt.NDArray[np.float64]

    def after(self, at: datetime, waiting: Waiting, place: int) -> datetime:
        """Return when a wait that begins at `at` is over."""
        return at + timedelta(seconds=waiting.draw(float(self.normal[place])))


class Market:
    """All people of one simulation. The same seed gives the same people and the same reactions.

    Args:
        truth: how they behave.
        leads: how many arrive.
        days: in how many days.
        start: first day, in UTC.
        seed: of all chance.
    """

    def __init__(self, truth: Truth, *, leads: int, days: int, start: datetime, seed: int) -> None:
        self.truth, self.seed = truth, seed
        self.ends_at = start + timedelta(days=days)
        self.people = tuple(_draw_people(truth, leads, days, start, seed))
        self.counts: Counter[str] = Counter()
        self._memories = [_Memory() for _ in self.people]
        self._by_address: dict[str, Person] = {person.email: person for person in self.people}
        self._by_address |= {
            f"{person.phone}@{TEXT_DOMAIN}": person for person in self.people if person.phone
        }
        self._greylisted: set[str] = set()

    def answer(self, address: str) -> str | None:
        """Return what the mail server says to this recipient; None = welcome."""
        person = self._by_address.get(address)
        if person is None or (person.is_refused and address == person.email):
            self.counts["turned_away"] += 1
            return "550 5.1.1 no such user here"
        if address != person.email:
            return None
        if person.is_greylisted and address not in self._greylisted:
            self._greylisted.add(address)
            return "451 4.7.1 greylisted, come again later"
        return None

    def arrivals(self) -> Iterator[Reaction]:
        """Yield the new leads, every full hour in one request, and what they buy of themselves."""
        by_hour: dict[datetime, list[Person]] = {}
        for person in self.people:
            by_hour.setdefault(person.known_at, []).append(person)
        for hour, people in sorted(by_hour.items()):
            leads = tuple(person.as_lead() for person in people)
            for first in range(0, len(leads), 500):
                yield Reaction(hour, "leads", "lead", leads=leads[first : first + 500])
        for person in self.people:
            if person.buys_anyway_at:
                draws = self._draws(person, 0)
                yield self._purchase(person, person.buys_anyway_at, float(draws.normal[7]))

    def receive(self, mail: Mail, at: datetime) -> list[Reaction]:
        """Return what a mail makes its reader and the machines before him do.

        Raises:
            KeyError: it went to nobody in this market.
        """
        person = self._by_address[mail.recipient]
        memory = self._memories[person.number]
        channel = "email" if mail.recipient == person.email else "sms"
        self.counts[f"messages_{channel}"] += 1
        if at > memory.quiet_from.get(channel, at):
            self.counts["unwanted"] += 1
        memory.count_mails += 1
        waited = (at - memory.last_mail_at).total_seconds() if memory.last_mail_at else None
        memory.last_mail_at = at
        draws = self._draws(person, memory.count_mails)
        if channel == "sms":
            reactions = self._read_text(person, mail, at, draws)
        elif person.is_wrong_address:
            reactions = [self._bounce(person, mail, at, draws)]
        else:
            reactions = [*self._machines(person, mail, at, draws)]
            reactions += self._read(person, mail, at, draws, waited)
        reactions += self._persuaded(person, at, draws)
        return reactions + self._repeated(reactions, draws)

    def _draws(self, person: Person, ordinal: int) -> _Draws:
        generator = np.random.default_rng([self.seed, _MAILS, person.number, ordinal])
        return _Draws(generator.random(10), generator.standard_normal(10))

    # --- machines ---------------------------------------------------------------------------------

    def _machines(
        self, person: Person, mail: Mail, at: datetime, draws: _Draws
    ) -> Iterator[Reaction]:
        if person.reader == "proxy" and mail.pixel:
            fetched_at = draws.after(at, self.truth.until_fetched, 0)
            client = f"17.58.{person.number % 200}.10"
            yield Reaction(
                fetched_at, "visit", "opened", mail.pixel, PROXY_AGENT, client, is_machine=True
            )
        if person.is_behind_gateway:
            yield from self._scan(person, mail, draws.after(at, self.truth.until_scanned, 1))

    def _scan(self, person: Person, mail: Mail, at: datetime) -> Iterator[Reaction]:
        """Call every link of the mail within a second, the way out included."""
        client, agent = f"40.107.{person.number % 200}.20", _BROWSERS[0]
        gap = timedelta(seconds=_SCAN_SECONDS / (len(mail.clicks) + 1))
        for place, path in enumerate(mail.clicks):
            when = at + place * gap
            yield Reaction(when, "visit", "clicked", path, agent, client, is_machine=True)
        if mail.way_out:
            when = at + len(mail.clicks) * gap
            yield Reaction(when, "visit", "fetched", mail.way_out, agent, client, is_machine=True)

    # --- people -----------------------------------------------------------------------------------

    def _read(
        self, person: Person, mail: Mail, at: datetime, draws: _Draws, waited: float | None
    ) -> list[Reaction]:
        truth, chance = self.truth, draws.uniform
        reactions = []
        if chance[6] < truth.away_share:
            when = draws.after(at, truth.until_bounced, 6)
            reactions.append(self._report(person, "auto_replied", mail, when))
        if chance[0] >= truth.reads(mail.subject) * person.interest:
            return reactions
        opened_at = draws.after(at, truth.until_read, 2)
        agent = _WEBMAIL_AGENT if person.reader == "webmail" else self._browser(person)
        # Behind the proxy the picture is there already: nobody hears of the reading.
        if mail.pixel and person.reader != "proxy":
            visit = Reaction(opened_at, "visit", "opened", mail.pixel, agent, person.client)
            reactions.append(visit)
        if mail.clicks and chance[1] < truth.clicks_when_read:
            reactions += self._click(person, mail, opened_at, draws)
        if chance[2] < truth.answers(mail.subject, waited):
            when = draws.after(opened_at, truth.until_answer, 4)
            reactions.append(self._report(person, "replied", mail, when))
        return reactions + self._leave(person, mail, opened_at, draws)

    def _click(
        self, person: Person, mail: Mail, opened_at: datetime, draws: _Draws
    ) -> list[Reaction]:
        """Click the first link mostly, and now and then a second one later."""
        when = draws.after(opened_at, self.truth.until_click, 3)
        first = int(float(draws.uniform[8]) ** 2 * len(mail.clicks))
        agent, client = self._browser(person), person.client
        reactions = [Reaction(when, "visit", "clicked", mail.clicks[first], agent, client)]
        second = int(float(draws.uniform[9]) * 4 * len(mail.clicks))
        if second < len(mail.clicks) and second != first:
            later = when + timedelta(seconds=_BROWSER_GAP)
            path = mail.clicks[second]
            reactions.append(Reaction(later, "visit", "clicked", path, agent, client))
        return reactions

    def _leave(
        self, person: Person, mail: Mail, opened_at: datetime, draws: _Draws
    ) -> list[Reaction]:
        when = opened_at + timedelta(seconds=30)
        if draws.uniform[3] < self.truth.complains_when_read:
            return [self._report(person, "complained", mail, when)]
        if draws.uniform[4] < self.truth.unsubscribes_when_read and mail.way_out:
            self._be_quiet(person, when, "email")
            agent, client = self._browser(person), person.client
            return [Reaction(when, "leave", "unsubscribed", mail.way_out, agent, client)]
        return []

    def _read_text(self, person: Person, mail: Mail, at: datetime, draws: _Draws) -> list[Reaction]:
        if draws.uniform[0] >= self.truth.reads_text:
            return []
        read_at = draws.after(at, self.truth.until_fetched, 2)
        if draws.uniform[4] < self.truth.leaves_by_text and mail.way_out:
            self._be_quiet(person, read_at, "sms")
            agent, client = self._browser(person), person.client
            return [Reaction(read_at, "leave", "unsubscribed", mail.way_out, agent, client)]
        if draws.uniform[2] < self.truth.answers_text:
            when = draws.after(read_at, self.truth.until_answer, 4)
            return [self._report(person, "replied", mail, when)]
        return []

    def _bounce(self, person: Person, mail: Mail, at: datetime, draws: _Draws) -> Reaction:
        when = draws.after(at, self.truth.until_bounced, 5)
        return self._report(person, "bounced", mail, when)

    def _persuaded(self, person: Person, at: datetime, draws: _Draws) -> list[Reaction]:
        """Let some of those whom the first contact reaches buy because of it."""
        memory = self._memories[person.number]
        is_first = memory.count_mails == 1
        is_reached = is_first and not person.is_wrong_address
        if not is_reached or memory.has_bought or person.buys_anyway_at:
            return []
        if draws.uniform[5] >= self.truth.buys_when_contacted:
            return []
        when = draws.after(at, self.truth.until_bought, 8)
        return [self._purchase(person, when, float(draws.normal[7]))]

    # --- reports ----------------------------------------------------------------------------------

    def _purchase(self, person: Person, at: datetime, normal: float) -> Reaction:
        self._memories[person.number].has_bought = True
        self._be_quiet(person, at, "email", "sms")
        report = {
            "type": "converted",
            "timestamp": at.isoformat(),
            "data": {
                "external_id": person.external_id,
                "name": "sale",
                "value": f"{self.truth.order_value.draw(normal):.2f}",
                "currency": "EUR",
            },
        }
        return Reaction(at, "report", "converted", report_id=f"{person.number}-sale", report=report)

    def _report(self, person: Person, kind: str, mail: Mail, at: datetime) -> Reaction:
        """Return what the mail provider tells about one message."""
        if kind in ("bounced", "complained"):
            self._be_quiet(person, at, "email")
        if kind == "replied":
            self._be_quiet(person, at, "email", "sms")
        count = self._memories[person.number].count_mails
        report = {
            "type": kind,
            "timestamp": at.isoformat(),
            "data": {"message_id": mail.message_id},
        }
        name = f"{person.number}-{count}-{kind}"
        return Reaction(at, "report", kind, report_id=name, report=report)

    def _repeated(self, reactions: list[Reaction], draws: _Draws) -> list[Reaction]:
        """Deliver some reports a second time, as providers do that missed the answer."""
        if draws.uniform[7] >= self.truth.repeated_share:
            return []
        return [
            replace(reaction, at=reaction.at + _REPEATED_AFTER, is_repeat=True)
            for reaction in reactions
            if reaction.what == "report"
        ]

    def _be_quiet(self, person: Person, at: datetime, *channels: str) -> None:
        quiet = self._memories[person.number].quiet_from
        for channel in channels:
            quiet[channel] = min(at, quiet.get(channel, at))

    @staticmethod
    def _browser(person: Person) -> str:
        return _BROWSERS[person.number % len(_BROWSERS)]


def _draw_people(
    truth: Truth, leads: int, days: int, start: datetime, seed: int
) -> Iterator[Person]:
    """Draw everybody, in the order in which they arrive."""
    rng = np.random.default_rng([seed, _PEOPLE])
    created = np.sort(_draw_arrivals(rng, leads, days, start))
    sources = rng.choice(list(SOURCES), size=leads, p=list(SOURCES.values()))
    places = rng.choice(len(_PLACES), size=leads, p=[place[2] for place in _PLACES])
    chance = rng.random((leads, 14))
    waits = rng.standard_normal(leads)
    for number in range(leads):
        draw = chance[number]
        country, zone, _, code = _PLACES[int(places[number])]
        created_at = start + timedelta(seconds=round(float(created[number])))
        known_at = created_at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        interest = 0.5 + float(draw[0])
        reader: Reader = "program"
        if draw[1] < truth.proxy_share:
            reader = "proxy"
        elif draw[2] < 0.5:  # noqa: PLR2004 - half of the others read in a browser
            reader = "webmail"
        is_wrong = bool(draw[3] < truth.wrong_address_share)
        refused_to = truth.wrong_address_share + truth.refused_address_share
        buys_at = None
        if draw[4] < truth.buys_anyway * interest:
            wait = max(truth.until_bought_anyway.draw(float(waits[number])), _EARLIEST_PURCHASE)
            buys_at = known_at + timedelta(seconds=wait)
        yield Person(
            number=number,
            source=str(sources[number]),
            email=f"lead{number:06d}@{reader}.example",
            phone=f"{code}{number:05d}" if draw[5] < _PHONE_SHARE else None,
            first_name=_pick(_FIRST_NAMES, draw[6]) if draw[7] >= _NO_NAME_SHARE else None,
            last_name=_pick(_LAST_NAMES, draw[8]),
            country=country,
            timezone=zone if draw[9] >= _NO_ZONE_SHARE else None,
            attributes=_draw_attributes(draw),
            created_at=created_at,
            known_at=known_at,
            interest=interest,
            reader=reader,
            is_behind_gateway=bool(draw[12] < truth.gateway_share),
            is_wrong_address=is_wrong,
            is_refused=not is_wrong and bool(draw[3] < refused_to),
            is_greylisted=bool(draw[13] < truth.greylisted_share),
            buys_anyway_at=buys_at,
        )


def _draw_arrivals(
    rng: np.random.Generator, leads: int, days: int, start: datetime
) -> npt.NDArray[np.float64]:
    """Draw seconds since the start: fewer at night (UTC) and at weekends."""
    hours = np.arange(days * 24)
    by_hour = 1.2 - np.cos((hours % 24 - _QUIETEST_HOUR) / 24 * 2 * np.pi)
    weekday = (start.weekday() + hours // 24) % 7
    weight = by_hour * np.where(weekday >= _WEEKEND, _WEEKEND_WEIGHT, 1.0)
    drawn = rng.choice(hours, size=leads, p=weight / weight.sum())
    return np.asarray((drawn + rng.random(leads)) * 3600.0)


def _draw_attributes(draw: npt.NDArray[np.float64]) -> dict[str, str]:
    attributes = {"course": _pick(_COURSES, draw[10])}
    if draw[11] < 0.5:  # noqa: PLR2004 - half of them have looked at a plan
        attributes["plan"] = _pick(_PLANS, draw[11] * 2)
    return attributes


def _pick(words: tuple[str, ...], draw: float) -> str:
    return words[int(draw * len(words))]
