"""Merging two leads: nothing is lost, nobody is contacted twice, whatever named the other still does."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from pipeline.engine.merging import merge_leads
from pipeline.engine.story import tell_story
from pipeline.ledger.locks import hold_lock
from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError
from tests.engine.conftest import MONDAY, World
from tests.engine.test_laws import fresh_world, make_home
from tests.examples import examples

__all__ = ["make_home"]

AGENT = "Mozilla/5.0 (X11) Firefox/140.0"
ANN, BOB = "ann@example.com", "bob@example.com"


def mail(name: str, after: str = "0m", more: str = "") -> str:
    return (
        f"  - {{id: {name}, after: {after}, channel: email, subject: {name}, "
        f"body: templates/hello.md{more}}}\n"
    )


THREE = mail("a") + mail("b", "3h") + mail("c", "3h")
BRANCHED = (
    mail("a")
    + "  - id: way\n    after: 2h\n    branch:\n"
    + "      - {when: \"opened('a')\", steps: [{id: b, channel: sms, text: Hi}]}\n"
    + "      - steps: [{id: c, after: 3h, channel: email, subject: c, body: templates/hello.md}]\n"
    + mail("d", "4h")
)
TURNED = mail("a") + mail("d", "2h") + mail("c", "5h") + mail("e", "5h")
GOAL = "goal: {name: sale}\n"


def person(email: str, source: str = "ONE", **more: Any) -> dict[str, Any]:
    return {"email": email, "source": source} | more


def id_of(world: World, email: str) -> int:
    return int(world.rows(f"select lead_id from identities where email = '{email}'")[0][0])


def merge(world: World, keep: str = ANN, other: str = BOB, *, is_applied: bool = True) -> Any:
    return merge_leads(world.settings, keep, other, world.now, is_applied=is_applied)


def everything(world: World) -> dict[str, list[str]]:
    """Return every row of every table, in an order of its own."""
    with open_ledger(world.home, read_only=True) as con:
        names = [
            name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()
        ]
        return {
            name: sorted(repr(row) for row in con.execute(f"from {name}").fetchall())
            for name in names
        }


def in_force(world: World) -> set[tuple[int, Any, Any, str]]:
    return set(
        world.rows(
            "select lead_id, channel, sequence_id, reason from suppressions where lifted_at is null"
        )
    )


def had(world: World, since: str = "-infinity") -> Counter[tuple[str, str]]:
    """Count the messages that went out, by sequence and step."""
    return Counter(
        world.rows(
            "select q.sequence_id, s.step_id from send_status as d "
            "inner join sequence_versions as q on d.version_id = q.version_id "
            "inner join steps as s on d.version_id = s.version_id and d.step_ix = s.step_ix "
            f"where d.status in ('handed_over', 'unknown') and d.claimed_at > '{since}'"
        )
    )


NEWS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 4, 7]),
        st.sampled_from([ANN, BOB]),
        st.sampled_from(
            [
                "opened",
                "replied",
                "unsubscribed",
                "subscribed",
                "complained",
                "bounced",
                "converted",
            ]
        ),
    ),
    max_size=6,
)
LIVES = st.fixed_dictionaries(
    {
        "ann_at": st.sampled_from([0, 1, 2, 4]),
        "bob_at": st.sampled_from([0, 1, 2, 4]),
        "merged_at": st.sampled_from([4, 5, 7, 12, 40]),
        "turned_at": st.sampled_from([1, 2, 5, 99]),
        "keeps_bob": st.booleans(),
        "news": NEWS,
    }
)
HOURS = (0, 1, 2, 4, 5, 7, 8, 12, 20, 30, 40, 60)


def live_an_hour(world: World, life: dict[str, Any], hours: int) -> None:
    """Let happen what this life says of an hour, and tick."""
    world.now = MONDAY + timedelta(hours=hours)
    if hours == life["turned_at"]:
        world.sequence("one", TURNED, head=GOAL)
    for email, name in ((ANN, "ann_at"), (BOB, "bob_at")):
        if life[name] == hours:
            world.land(leads=[person(email)])
    for number, (when, email, kind) in enumerate(life["news"]):
        if when == hours:
            more: dict[str, Any] = {"name": "sale"} if kind == "converted" else {}
            world.event(kind, email=email, key=str(number), **more)
    world.tick()
    world.tick(seconds=11)


@examples(3, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(LIVES)
def test_merging_loses_no_suppression_doubles_no_contact_and_no_enrollment(make_home, life):
    with fresh_world(make_home) as world:
        world.sequence("one", BRANCHED, head=GOAL)
        world.sequence("two", THREE, head="enroll: {when: \"lead.source = 'ONE'\"}\n")
        for hours in (h for h in HOURS if h <= life["merged_at"]):
            live_an_hour(world, life, hours)
        kept, gone = (BOB, ANN) if life["keeps_bob"] else (ANN, BOB)
        kept_id, gone_id = id_of(world, kept), id_of(world, gone)
        before, suppressed, sent = everything(world), in_force(world), had(world)
        entered = world.rows("select distinct sequence_id from enrollments order by all")

        counted = merge(world, kept, gone, is_applied=False)
        assert everything(world) == before
        done = merge(world, kept, gone)
        assert done.as_dict() == counted.as_dict() | {"is_applied": True}
        after = everything(world)
        assert not merge(world, kept, gone).is_new
        assert everything(world) == after
        for name, rows in after.items():
            if name not in ("merged_leads", "rejected"):
                assert not [row for row in rows if str(gone_id) in row], name

        wanted = {(kept_id, *rest) for _, *rest in suppressed}
        assert wanted <= in_force(world)
        merged_at = world.now
        later = [h for h in HOURS if h > life["merged_at"]]
        world.land(leads=[person(gone), person(kept)])
        is_lifted = any(h in later and kind == "subscribed" for h, _, kind in life["news"])
        for hours in later:
            live_an_hour(world, life, hours)
            running = world.rows(
                "select q.sequence_id from live as v "
                "inner join sequence_versions as q on v.version_id = q.version_id "
                "where not v.is_ended"
            )
            assert len(running) == len(set(running))
        assert is_lifted or wanted <= in_force(world)
        again = had(world, merged_at.isoformat())
        assert not [step for step, times in again.items() if times > 1 or step in sent]
        assert world.rows("select distinct sequence_id from enrollments order by all") == entered
        # What came later for either address is the kept lead's.
        assert world.rows("select email from identities semi join leads using (lead_id)") == [
            (kept,)
        ]
        assert everything(world)["rejected"] == before["rejected"]


@pytest.fixture
def apart(world):
    """Ann has had the first mail of three and waits for the second; Bob comes an hour later."""
    world.sequence("one", THREE, head=GOAL)
    world.land(leads=[person(ANN, phone="+15550100001", attributes={"plan": "free"})])
    world.tick()
    world.now += timedelta(hours=1)
    world.land(leads=[person(BOB, first_name="Bob", country="DE", external_id="crm 7")])
    world.tick()
    return world


def test_the_enrollment_further_along_stays_and_the_other_exits_merged(apart):
    world = apart
    told = merge(world, BOB, ANN)
    assert told.moved["enrollments"] == 1
    assert [(row["sequence"], row["reason"]) for row in told.ended] == [("one", "merged")]
    ended, running = (
        told.ended[0]["enrollment"],
        world.rows("select enrollment_id, lead_id from live"),
    )
    # Both have had one mail: the older one stays, under the id that was to be kept.
    assert (ended, running) == (2, [(1, id_of(world, BOB))])
    assert world.rows("select enrollment_id, entry_no from enrollments order by all") == [
        (1, 1), (2, 2),
    ]  # fmt: skip
    world.tick_until(world.now + timedelta(hours=9))
    assert had(world) == {("one", "a"): 2, ("one", "b"): 1, ("one", "c"): 1}


def test_the_kept_lead_keeps_what_it_knows_and_learns_the_rest(apart):
    world = apart
    merge(world)
    assert world.rows(
        "select email, phone, first_name, external_id, country, source, attributes ->> '$.plan' "
        "from leads inner join identities using (lead_id)"
    ) == [(ANN, "+15550100001", "Bob", "crm 7", "DE", "ONE", "free")]
    assert world.rows("select email, phone, external_id, external_source from aliases") == [
        (BOB, None, "crm 7", "ONE")
    ]


def test_whatever_named_the_other_names_the_kept_one_events_requests_and_leads(apart):
    world = apart
    gone = id_of(world, BOB)
    merge(world)
    kept = id_of(world, ANN)
    world.now += timedelta(minutes=5)
    world.event("replied", email=BOB)
    world.event("meeting_booked", external_id="crm 7")
    world.land(
        source="operator",
        commands=[
            {
                "kind": "enroll",
                "sequence": "one",
                "lead": {"lead_id": gone},
                "enrolled_by": "segment",
            },
            {"kind": "enroll", "sequence": "one", "lead": {"email": BOB}, "enrolled_by": "hand"},
        ],
    )
    world.land(leads=[person(BOB, last_name="Stone")])
    world.tick()
    assert world.rows("select distinct lead_id from commands") == [(kept,)]
    assert world.rows("select kind, lead_id from events order by all") == [
        ("meeting_booked", kept), ("replied", kept),
    ]  # fmt: skip
    assert world.rows("select lead_id, email, last_name from identities") == [(kept, ANN, "Stone")]
    assert tell_story(world.settings, BOB) == tell_story(world.settings, str(gone))
    assert tell_story(world.settings, BOB) == tell_story(world.settings, ANN)


def test_a_merged_lead_can_be_merged_on_and_every_name_goes_with_it(apart):
    world = apart
    world.land(leads=[person("cid@example.com", "NOWHERE")])
    world.tick()
    first = id_of(world, BOB)
    merge(world, ANN, BOB)
    merge(world, "cid@example.com", ANN)
    kept = id_of(world, "cid@example.com")
    assert world.rows("select distinct kept_lead_id from merged_leads") == [(kept,)]
    assert world.rows("select distinct lead_id from aliases") == [(kept,)]
    assert tell_story(world.settings, str(first)) == tell_story(world.settings, str(kept))


def test_do_not_contact_of_one_ends_what_runs_for_the_other(apart):
    world = apart
    world.land(source="operator", commands=[{"kind": "do_not_contact", "lead": {"email": BOB}}])
    world.tick()
    told = merge(world)
    assert [row["reason"] for row in told.ended] == ["do_not_contact"]
    assert world.rows("select count(*) from live") == [(0,)]
    world.tick(hours=9)
    assert len(world.mail()) == 2


def test_what_one_has_bought_ends_what_runs_for_the_other(apart):
    world = apart
    world.event("converted", email=BOB, name="sale")
    world.tick()
    merge(world)
    assert world.rows("select distinct status, reason from enrollment_ends") == [
        ("converted", "sale")
    ]


def test_one_leads_subscribing_does_not_lift_what_the_other_said_before(apart):
    world = apart
    world.event("unsubscribed", email=ANN)
    world.tick(hours=1)
    world.event("subscribed", email=BOB)
    world.tick(hours=1)
    merge(world)
    world.tick(hours=1)
    # An opting out by SMS looks at every subscribing again, and lifts nothing of before.
    world.event("unsubscribed", phone="+15550100001")
    world.tick(hours=1)
    assert {row[1] for row in in_force(world)} == {"email", "sms"}
    world.event("subscribed", email=BOB)
    world.tick(hours=1)
    assert {row[1] for row in in_force(world)} == {"sms"}


def test_a_message_that_is_on_its_way_is_waited_for(world):
    world.sequence("one", THREE)
    world.land(leads=[person(ANN), person(BOB)])
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    with pytest.raises(DripError, match=r"enrollment 1 of one, enrollment 2 of one is on its way"):
        merge(world)
    world.tick()
    assert merge(world).ended[0]["reason"] == "merged"


def test_what_the_other_had_finished_is_not_begun_again(world):
    world.sequence("one", THREE)
    world.land(leads=[person(ANN)])
    world.tick()
    world.tick_until(world.now + timedelta(hours=9))
    world.land(leads=[person(BOB)])
    world.tick(hours=1)
    assert [row["reason"] for row in merge(world).ended] == ["merged"]
    assert world.rows("select count(*) from live") == [(0,)]


TEST = (
    ", experiment: {id: e, control: x, metric: replied, window: 7d, decide: {mode: open}, "
    "variants: [{id: x}, {id: y, subject: Other}]}"
)


@pytest.mark.parametrize("is_same", [True, False])
def test_stored_arms_stay_and_two_of_them_are_told(world, is_same):
    world.sequence("one", mail("a", more=TEST) + mail("b", "3h"))
    world.leads(20)
    world.tick()
    rows = world.rows(
        "select i.email, a.arm from assignments as a inner join identities as i on a.unit_id = i.lead_id "
        "order by all"
    )
    first, arm = rows[0]
    second = next(email for email, other in rows[1:] if (other == arm) == is_same)
    told = merge(world, first, second)
    assert told.two_arms == ([] if is_same else ["e"])
    kept = id_of(world, first)
    found = world.rows(
        f"select count(*), count(distinct arm) from assignments where unit_id = {kept}"
    )
    assert found == [(2, 1 if is_same else 2)]


def test_two_accounts_whose_arms_one_person_has_seen_are_outside_the_analysis(world):
    by_account = TEST.replace("{id: e,", "{id: e, unit: account,")
    path = world.folder / "workspace.yml"
    path.write_text(path.read_text().replace("[plan]", "[plan, company]") + "account: company\n")
    world.sequence("one", mail("a", more=by_account) + mail("b", "3h"))
    world.land(
        leads=[
            person(f"{who}{i}@example.com", attributes={"company": f"c{i}"})
            for i in range(12)
            for who in "ab"
        ]
    )
    world.tick()
    arms = dict(
        world.rows(
            "select i.email, a.arm from assignments as a "
            "inner join account_leads as m using (experiment_id, unit_id) "
            "inner join identities as i on m.lead_id = i.lead_id where i.email like 'a%'"
        )
    )
    x = [email for email, arm in arms.items() if arm == "x"]
    y = [email for email, arm in arms.items() if arm == "y"]
    assert merge(world, x[0], x[1]).two_arms == []
    assert merge(world, x[2], y[0]).two_arms == ["e"]
    assert world.rows(
        "select count(*) from (select unit_id from assignments group by unit_id having count(distinct arm) > 1)"
    ) == [(2,)]
    assert world.rows(
        "select count(*) from (select lead_id from account_leads group by lead_id having count(*) > 1)"
    ) == [(0,)]
    # Everybody else in the two goes on with the arm that the account has had.
    assert world.rows(
        "select count(*) from (select unit_id, min_by(arm, assigned_at) as arm from assignments "
        "group by unit_id) as a inner join account_leads as m using (unit_id) "
        "inner join sends as s on m.enrollment_id = s.enrollment_id where s.variant != a.arm"
    ) == [(0,)]


def test_nobody_is_merged_with_a_stranger_or_with_oneself(apart):
    with pytest.raises(DripError, match=r"No lead is called 'nobody@example.com'"):
        merge(apart, ANN, "nobody@example.com")
    assert not merge(apart, ANN, ANN).is_new
