"""Laws that hold in every world: of repetition, order, company, opting out and patience."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from pipeline.ledger.store import create_ledger
from pipeline.settings import create_keys
from tests.conftest import TEST_KEYS
from tests.engine.conftest import MONDAY, World
from tests.examples import examples

MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one, homes live there
STEPS = """
  - id: a
    channel: email
    subject: "Hello {{ first_name | default('you') }}"
    body: templates/hello.md
    experiment: {id: test, metric: clicked, control: x, variants: [{id: x}, {id: y, subject: Hi}]}
  - id: way
    after: 2h
    branch:
      - {when: "opened('a')", steps: [{id: b, channel: sms, text: "Hi {{ unsubscribe }}"}]}
      - steps: [{id: c, after: 3h, channel: email, subject: c, body: templates/hello.md}]
  - {id: d, after: 20h, channel: email, subject: d, body: templates/hello.md}
"""
# Hours between a step and the hand-over before it on any path.
PATIENCE = {"b": 2, "c": 5, "d": 20}
KINDS = [
    "opened",
    "clicked",
    "replied",
    "unsubscribed",
    "subscribed",
    "complained",
    "bounced",
    "converted",
]
LEADS = 6
STORY = {
    "outcomes": """
        select email, step_id, variant, s.channel, s.status, s.settled_at, s.slot_at, s.attempts
        from send_status as s inner join identities using (lead_id) inner join steps using (version_id, step_ix)
    """,
    "why": """
        select email, step_id, w.planned_at, w.outcome, w.reason, w.until_at
        from why as w inner join enrollments using (enrollment_id) inner join identities using (lead_id)
        inner join steps as s on w.version_id = s.version_id and w.step_ix = s.step_ix
    """,
    "ends": """
        select email, x.ended_at, x.status, x.reason
        from enrollment_ends as x inner join enrollments using (enrollment_id) inner join identities using (lead_id)
    """,
    "live": """
        select email, step_ix, status, due_at, slot_at, is_paused, sent_mask, opened_mask, clicked_mask, has_replied
        from live inner join identities using (lead_id)
    """,
    "suppressions": """
        select email, channel, reason, created_at, lifted_at from suppressions inner join identities using (lead_id)
    """,
}
LATEST = """
    select email, max(send_id) from send_status inner join identities using (lead_id)
    where status = 'handed_over' group by email
"""
Story = dict[str, list[Any]]
PEOPLE = [f"u{i}@example.com" for i in range(LEADS)]
STOPPING = ("replied", "unsubscribed", "complained", "bounced", "converted")
EXAMPLES = examples(3, phases=[Phase.generate])


@dataclass(frozen=True)
class News:
    """An event that lands before the tick at `hours`."""

    hours: int
    lead: int
    kind: str
    minutes_ago: int


NEWS = st.lists(
    st.builds(
        News,
        hours=st.sampled_from([1, 3, 6, 30]),
        lead=st.integers(0, LEADS - 1),
        kind=st.sampled_from(KINDS),
        minutes_ago=st.integers(0, 50),
    ),
    max_size=12,
    unique_by=lambda news: (news.lead, news.hours, news.minutes_ago),
)
HOURS = (0, 1, 2, 3, 5, 6, 30, 31, 54)


@contextmanager
def fresh_world(make_home: Callable[[Path], None]) -> Iterator[World]:
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        home = Path(folder) / "home"
        make_home(home)
        yield World(home, Path(folder) / "sequences")


def as_landed(today: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [today]


def live_through(
    home: Callable[[Path], None],
    news: list[News],
    *,
    repeats: int = 1,
    others: int = 0,
    parts: Callable[[list[dict[str, Any]]], list[list[dict[str, Any]]]] = as_landed,
) -> Story:
    """Live for 54 hours and tell what became of the first six leads."""
    with fresh_world(home) as world:
        world.sequence("one", STEPS, head="goal: {name: sale}\n")
        world.land(
            leads=[lead(email) for email in PEOPLE] + [lead(f"x{i}@a.com") for i in range(others)]
        )
        for hours in HOURS:
            world.now = MONDAY + timedelta(hours=hours)
            messages = dict(world.rows(LATEST)) if hours else {}
            today = [
                event(number, one, world.now, messages)
                for number, one in enumerate(news)
                if one.hours == hours
            ]
            for part in parts(today):
                world.land(source="webhook:webhook", events=part)
            for _ in range(repeats):
                world.tick()
        return {
            name: sorted((row for row in world.rows(sql) if row[0] in PEOPLE), key=repr)
            for name, sql in STORY.items()
        }


def lead(email: str) -> dict[str, Any]:
    name = email.partition("@")[0]
    return {"email": email, "source": "ONE", "phone": f"+1555{int(name[1:]):07d}{ord(name[0])}"}


def event(number: int, news: News, now: datetime, messages: dict[str, int]) -> dict[str, Any]:
    """Engagement answers the lead's latest message, the rest is known by address."""
    email = PEOPLE[news.lead]
    found = {
        "key": str(number),
        "kind": news.kind,
        "email": email,
        "occurred_at": (now - timedelta(minutes=news.minutes_ago)).isoformat(),
    }
    if news.kind in ("opened", "clicked") and email in messages:
        found["send_id"] = messages[email]
    if news.kind == "converted":
        found["name"] = "sale"
    return found


@EXAMPLES
@given(NEWS)
def test_nobody_gets_a_step_twice_or_before_its_delay_or_after_opting_out(make_home, news):
    story = live_through(make_home, news)
    steps = Counter((row[0], row[1]) for row in story["outcomes"])
    assert not [step for step, times in steps.items() if times > 1]
    for person, rows in groupby(story["outcomes"], key=itemgetter(0)):
        sent = sorted((row[5], row[1]) for row in rows if row[4] == "handed_over")
        assert all(
            later - earlier >= timedelta(hours=PATIENCE[step])
            for (earlier, _), (later, step) in pairwise(sent)
        )
        for one in news:
            if PEOPLE[one.lead] == person and one.kind in STOPPING:
                out = MONDAY + timedelta(hours=one.hours)
                assert not [moment for moment, _ in sent if moment >= out]


@EXAMPLES
@given(NEWS)
def test_ticking_twice_is_ticking_once(make_home, news):
    assert live_through(make_home, news, repeats=2) == live_through(make_home, news)


@EXAMPLES
@given(NEWS, st.integers(0, 999))
def test_order_of_arrival_and_duplicates_do_not_matter(make_home, news, seed):
    def twisted(today: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        draw = random.Random(seed)
        mixed = draw.sample(today, len(today)) + draw.sample(today, len(today) // 2)
        middle = draw.randint(0, len(mixed))
        return [mixed[:middle], mixed[middle:]]

    assert live_through(make_home, news, parts=twisted) == live_through(make_home, news)


@EXAMPLES
@given(NEWS, st.integers(1, 40))
def test_other_leads_change_nothing_for_the_first(make_home, news, others):
    assert live_through(make_home, news, others=others) == live_through(make_home, news)


@pytest.fixture(scope="module")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Copies of one empty home: the same keys, so the same draws."""
    empty = tmp_path_factory.mktemp("laws") / "home"
    create_keys(empty, TEST_KEYS)
    create_ledger(empty)

    def make(home: Path) -> None:
        shutil.copytree(empty, home)

    return make
