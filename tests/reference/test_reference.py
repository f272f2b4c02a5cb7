"""The engine and the second interpreter live through the same worlds and tell the same story."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random, randrange

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.reference.drawing import draw_universe
from tests.reference.telling import explain, find_differences
from tests.reference.worlds import (
    Beat,
    Calendar,
    Delay,
    Happening,
    Lead,
    Sequence,
    Step,
    Universe,
    World,
)

WORLDS = 200


def seeds(count: int) -> Iterator[int]:
    """The same every time; `--hypothesis-profile search --timeout 0` looks for others, and for long."""
    if settings.default.derandomize:
        yield from range(count)
    else:
        yield from (randrange(2**32) for _ in range(settings.default.max_examples))


def live_through(playground: Path, universe: Universe, seen: Counter[str], seed: int = 0) -> None:
    differences = find_differences(playground, universe, seen)
    if differences:
        told = explain(playground, universe, differences)
        pytest.fail(f"Seed {seed}. {told}", pytrace=False)


# Thousands of ticks: minutes, and more where others work beside.
@pytest.mark.timeout(1800)
def test_engine_and_interpreter_agree_on_two_hundred_worlds(playground: Path) -> None:
    seen: Counter[str] = Counter()
    # Twenty worlds in a universe: a tick of many costs little more than one of few.
    for seed in seeds(20):
        universe = draw_universe(seed, 20, count_beats=12 if seed % 2 else 8)
        live_through(playground, universe, seen, seed)
        # What is rare may come later, but it comes.
        if seen["worlds"] >= WORLDS and not unseen(seen):
            break
    assert seen["worlds"] >= WORLDS
    assert not unseen(seen), "the worlds have become too tame"


@st.composite
def calling(draw: st.DrawFn) -> Universe:
    """Leads that are called, ask to be called again, and are overtaken by what they do else."""
    hour, day = Delay(1, "h"), Delay(1, "d")
    steps = (
        Step("a", draw(st.sampled_from(["webhook", "email"]))),
        Step("b", "call", draw(st.sampled_from([None, hour])), attempts=2),
        Step("c", draw(st.sampled_from(["call", "webhook", "wait"])), day),
        Step("d", "email", hour),
    )
    calendar = Calendar(hours=(draw(st.sampled_from(["00:00-24:00", "09:00-17:00"])),))
    limits = {
        "per_lead": draw(st.sampled_from([60, 4])),
        "contact_gap": draw(st.sampled_from([None, 300])),
    }
    sequence = Sequence("w0-a", steps, ("W0",), calendar=calendar, **limits)
    leads = tuple(Lead(f"w0-l{n}", "W0", phone=f"+1555010{n:04d}") for n in range(6))
    kinds = [*["callback_requested"] * 5, "replied", "unsubscribed", "call_answered"]
    told = [Happening(0, "arrives", lead.name) for lead in leads]
    for lead in leads:
        for beat in sorted(draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))):
            told.append(
                Happening(
                    beat,
                    draw(st.sampled_from(kinds)),
                    lead.name,
                    nth=draw(st.sampled_from([None, 0, 1])),
                    callback_hours=draw(st.sampled_from([3, 30, -1, None])),
                    again=draw(st.booleans()),
                )
            )
    said = st.sampled_from([*["accepted"] * 5, "busy", "refused", "nothing"])
    answers = tuple(draw(st.lists(said, min_size=5, max_size=9)))
    minutes = draw(st.lists(st.sampled_from([60, 300, 1500]), min_size=10, max_size=10))
    beats = tuple(Beat(m, waits_for_due=draw(st.booleans()), leaves=False) for m in minutes)
    world = World("w0", (sequence,), leads, tuple(told), answers)
    return Universe(datetime(2026, 1, 5, 15, tzinfo=UTC), beats, (world,))


@pytest.mark.timeout(600)
def test_they_agree_on_who_is_called_again_and_when(playground: Path) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(calling())
    def agree(universe: Universe) -> None:
        live_through(playground, universe, seen)

    agree()
    assert seen["called again"] >= 5
    assert seen["sent by hook"]


def preferring(draw: Random) -> Universe:
    """Messages that wait for the best hour of their day, some of them tested or held up."""
    hours = draw.choice([("00:00-24:00",), ("09:00-17:00",), ("08:00-13:00", "18:00-02:00")])
    zones = ["America/New_York", "Asia/Kolkata", "Europe/London", "America/Sao_Paulo"]
    calendar = Calendar(zone=draw.choice(["lead", *zones]), hours=hours, prefers_hours=True)
    steps = (
        Step("a", draw.choice(["email", "sms"]), late_minutes=120),
        Step("b", "email", Delay(1, "d"), when=draw.choice([None, ("lead", "plan", "pro")])),
        Step("c", draw.choice(["task", "email"]), Delay(2, "h")),
    )
    limits = {"per_hour": draw.choice([None, 2]), "lead_per_day": 1, "per_lead": 60}
    sequence = Sequence("w0-a", steps, ("W0",), calendar=calendar, holdout_percent=20, **limits)
    leads = tuple(
        Lead(f"w0-l{n}", "W0", phone=f"+1555010{n:04d}", zone=draw.choice(zones)) for n in range(10)
    )
    told = [Happening(draw.randrange(4), "arrives", lead.name) for lead in leads]
    told += [Happening(5, "changes", lead.name, fields=(("plan", "pro"),)) for lead in leads[::2]]
    beats = tuple(
        Beat(draw.choice([45, 130, 700]), waits_for_due=draw.choice([True, False]))
        for _ in range(14)
    )
    scores = tuple(draw.choice([0.1, 0.2, 0.3]) for _ in range(42))
    world = World("w0", (sequence,), leads, tuple(told), scores=(("w0-a", scores),))
    # Clocks change on the last of these days in New York, and in London three weeks later.
    start = draw.choice([datetime(2026, 1, 5, 15, tzinfo=UTC), datetime(2026, 3, 6, 3, tzinfo=UTC)])
    return Universe(start, beats, (world,))


@pytest.mark.timeout(600)
def test_they_agree_on_the_hours_that_are_preferred(playground: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds(5):
        live_through(playground, preferring(Random(seed)), seen, seed)
    assert seen["hour drawn for now"] >= 20
    assert seen["hour drawn for later"] >= 20
    assert seen["postponed preferred_hours"] == seen["hour drawn for later"]
    assert seen["held_out holdout"]


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_engine_and_interpreter_agree_on_two_thousand_lead_histories(playground: Path) -> None:
    seen: Counter[str] = Counter()

    for seed in seeds(29):
        live_through(playground, draw_universe(seed, 4, count_beats=16, most_leads=18), seen, seed)
    assert seen["worlds"] >= 100
    assert seen["leads"] >= 2000


def unseen(seen: Counter[str]) -> set[str]:
    """What must have happened somewhere, or the agreement says little."""
    return {
        "claimed", "postponed window", "postponed sequence_cap", "postponed sequence_hour_cap",
        "postponed domain_cap", "postponed domain_hour_cap", "postponed sender_cap",
        "postponed sender_hour_cap", "postponed lead_day_cap", "postponed lead_week_cap",
        "postponed contact_gap", "skipped condition", "skipped late",
        "skipped unsubscribed", "skipped complained", "skipped bounced", "skipped no_address",
        "held_out holdout", "handed_over", "retry", "refused", "unknown", "withdrawn ended",
        "withdrawn paused", "withdrawn unsubscribed", "completed", "completed inactive",
        "completed held_out", "converted sale", "exited replied", "exited refused", "paused",
        "resumed", "lifted", "human", "machine", "uncertain", "assigned", "assigned (holdout)",
        "entered by rule", "entered by event", "entered by hand", "starts later",
        "entered again by rule", "entered again by event", "entered again by hand",
        "exited do_not_contact", "request enrolled", "request running", "request cooldown",
        "request campaign", "request max_leads", "request do_not_contact", "request done",
        "request not_active", "request unknown_sequence", "request open",
        "second version", "skipped experiment", "held_out step_holdout", "of an account", "sent by second",
        "sent by site",
        "exited archived", "sequence paused by operator", "sequence resumed by operator",
        "postponed preferred_hours", "hour drawn for now", "hour drawn for later",
        "sequence paused by file", "sequence resumed by file", "everything paused by operator",
        "everything resumed by operator", "everything paused by STOP", "everything resumed by STOP",
    } - {name for name, count in seen.items() if count}  # fmt: skip
