from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inbound.records import Event, Lead
from pipeline.simulation.inbox import Mail
from pipeline.simulation.market import PROXY_AGENT, SOURCES, Market, Person, Reaction
from pipeline.simulation.truth import Truth

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
QUESTION = "What would you like to learn first?"


def market(leads: int = 200, seed: int = 1, truth: Truth | None = None) -> Market:
    return Market(truth or Truth(), leads=leads, days=20, start=START, seed=seed)


def mail_to(person: Person, subject: str = "Hello", number: int = 1) -> Mail:
    return Mail(
        message_id=f"<{person.number}.{number}@lessons.example>",
        recipient=person.email,
        subject=subject,
        pixel=f"/o/{number}.gif",
        clicks=(f"/c/{number}a", f"/c/{number}b", f"/c/{number}c"),
        way_out=f"/u/{number}",
        is_one_click=True,
    )


def everybody(of: Market, subject: str, wait: timedelta | None = None) -> Iterator[list[Reaction]]:
    """Write to all whose address works, after another mail where `wait` says so."""
    for person in of.people:
        if person.is_refused:
            continue
        at = person.known_at
        if wait is not None:
            of.receive(mail_to(person), at)
            at += wait
        yield of.receive(mail_to(person, subject, 2), at)


def share(reactions: list[list[Reaction]], kind: str) -> float:
    did = [any(r.kind == kind and not r.is_machine for r in each) for each in reactions]
    return sum(did) / len(did)


def test_the_same_seed_gives_the_same_people_and_reactions() -> None:
    one, other = market(), market()
    assert one.people == other.people
    assert list(one.arrivals()) == list(other.arrivals())
    assert list(everybody(one, QUESTION)) == list(everybody(other, QUESTION))
    assert market(seed=2).people != one.people


@given(st.permutations(range(12)))
def test_the_order_of_mails_changes_nobodys_reactions(order: list[int]) -> None:
    straight, shuffled = market(12), market(12)
    expected = {p.number: straight.receive(mail_to(p), START + 30 * DAY) for p in straight.people}
    for number in order:
        person = shuffled.people[number]
        assert shuffled.receive(mail_to(person), START + 30 * DAY) == expected[number]


def test_people_are_leads_that_we_take_in_and_arrive_by_the_hour() -> None:
    of = market()
    batches = [reaction for reaction in of.arrivals() if reaction.what == "leads"]
    assert sum(len(batch.leads) for batch in batches) == 200
    for batch in batches:
        assert batch.at.minute == batch.at.second == 0
        for lead in batch.leads:
            created_at = Lead.model_validate(lead).created_at
            assert created_at is not None
            assert created_at <= batch.at
    assert {person.source for person in of.people} == set(SOURCES)
    assert len({person.country for person in of.people}) >= 5


def test_reactions_come_after_the_mail_and_reports_are_events_that_we_take_in() -> None:
    of = market(400)
    for person in of.people:
        at = person.known_at
        for reaction in of.receive(mail_to(person, QUESTION), at):
            assert reaction.at > at
            if reaction.what == "report":
                fields = {**reaction.report["data"], "kind": reaction.report["type"]}
                Event.model_validate({**fields, "occurred_at": reaction.report["timestamp"]})


@pytest.mark.parametrize("arm", ["plain", "question", "course"])
def test_a_subject_is_clicked_as_often_as_the_truth_says(arm: str) -> None:
    truth = Truth(refused_address_share=0.0)
    words = next(appeal.words for appeal in truth.appeals if appeal.arm == arm)
    reactions = list(everybody(market(5_000, truth=truth), words))
    assert share(reactions, "clicked") == pytest.approx(truth.click_rate(arm), abs=0.02)


@pytest.mark.parametrize("days", [1, 3])
def test_the_question_is_answered_as_often_as_the_truth_says(days: int) -> None:
    truth = Truth(refused_address_share=0.0, answers_when_read=0.0)
    reactions = list(everybody(market(5_000, truth=truth), QUESTION, days * DAY))
    expected = truth.answer_rate(days * DAY.total_seconds())
    assert share(reactions, "replied") == pytest.approx(expected, abs=0.015)


def test_contact_makes_as_many_more_people_buy_as_the_truth_says() -> None:
    truth = Truth(refused_address_share=0.0)
    of = market(8_000, truth=truth)
    window = 14 * DAY
    anyway = sum(
        person.buys_anyway_at is not None and person.buys_anyway_at <= person.known_at + window
        for person in of.people
    )
    more = sum(
        any(r.kind == "converted" and r.at <= person.known_at + window for r in reactions)
        for person, reactions in zip(of.people, everybody(of, "Hello"), strict=True)
    )
    assert more / 8_000 == pytest.approx(truth.lift(window.total_seconds()), abs=0.01)
    assert 0.05 < anyway / 8_000 < truth.buys_anyway


def test_a_proxy_fetches_the_picture_and_hides_the_reading() -> None:
    of = market(500)
    for person in of.people:
        reactions = of.receive(mail_to(person), person.known_at)
        opens = [reaction for reaction in reactions if reaction.kind == "opened"]
        if person.reader == "proxy" and not person.is_wrong_address:
            assert [(r.agent, r.is_machine) for r in opens] == [(PROXY_AGENT, True)]
        else:
            assert not any(reaction.is_machine for reaction in opens)


def test_a_gateway_calls_every_link_within_a_second_and_changes_nothing_by_it() -> None:
    of = market(500)
    scans = [
        [reaction for reaction in of.receive(mail_to(person), START) if reaction.is_machine]
        for person in of.people
        if person.is_behind_gateway and person.reader != "proxy" and not person.is_wrong_address
    ]
    assert scans
    for scan in scans:
        assert [reaction.path for reaction in scan] == ["/c/1a", "/c/1b", "/c/1c", "/u/1"]
        assert all(reaction.what == "visit" for reaction in scan)
        assert scan[-1].at - scan[0].at < timedelta(seconds=1)
        assert timedelta(seconds=15) < scan[0].at - START < timedelta(minutes=2)


def test_a_wrong_address_bounces_and_does_nothing_else() -> None:
    of = market(50, truth=Truth(wrong_address_share=1.0, repeated_share=0.0))
    person = of.people[0]
    assert [reaction.kind for reaction in of.receive(mail_to(person), START)] == ["bounced"]


def test_the_mail_server_refuses_strangers_for_good_and_greylists_once() -> None:
    of = market(5, truth=Truth(wrong_address_share=0, refused_address_share=0, greylisted_share=1))
    address = of.people[0].email
    answers = [of.answer("stranger@x.example"), of.answer(address), of.answer(address)]
    assert [text and text[:3] for text in answers] == ["550", "451", None]
    refusing = market(5, truth=Truth(wrong_address_share=0, refused_address_share=1))
    assert [(refusing.answer(refusing.people[0].email) or "")[:3]] == ["550"]


def test_a_mail_after_a_goodbye_is_counted_as_unwanted() -> None:
    of = market(50, truth=Truth(wrong_address_share=1.0))
    person = of.people[0]
    of.receive(mail_to(person), START)
    assert of.counts["unwanted"] == 0
    of.receive(mail_to(person, number=2), START + DAY)
    assert of.counts["unwanted"] == 1


def test_a_mail_to_a_stranger_is_an_error() -> None:
    of = market(1)
    stranger = Mail("<1@x>", "stranger@x.example", "Hello", None, (), None, is_one_click=False)
    with pytest.raises(KeyError):
        of.receive(stranger, START)


def test_a_text_message_is_answered_or_left_and_never_opened() -> None:
    of = market(2_000, truth=Truth(repeated_share=0.0))
    kinds: Counter[str] = Counter()
    for person in of.people:
        if person.phone is None:
            continue
        text = Mail("<1@x>", f"{person.phone}@sms.example", "", None, (), "/u/1", False)
        kinds.update(reaction.kind for reaction in of.receive(text, person.known_at))
    assert set(kinds) == {"replied", "unsubscribed", "converted"}


def test_a_repeated_report_has_the_same_id_and_comes_later() -> None:
    of = market(300, truth=Truth(repeated_share=1.0))
    for person in of.people:
        reactions = of.receive(mail_to(person, QUESTION), person.known_at)
        reports = [reaction for reaction in reactions if reaction.what == "report"]
        first = {r.report_id: r for r in reports if not r.is_repeat}
        again = {r.report_id: r for r in reports if r.is_repeat}
        assert first.keys() == again.keys()
        assert all(again[name].at > first[name].at for name in first)
