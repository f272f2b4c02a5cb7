"""Who enters: rules, once in a life, room, holdouts."""

from datetime import timedelta

import pytest
from scipy.stats import binomtest

from pipeline.engine.pauses import Target, pause, resume
from pipeline.inbound.requests import request_list

MAIL = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"


def count(world):
    return world.rows("select count(*) from enrollments where not is_holdout")[0][0]


def test_a_rule_enrolls_the_leads_it_holds_for_and_only_once(world):
    world.sequence("one", MAIL, head="enroll: {when: \"lead.country in ('US', 'NO')\"}\n")
    world.leads(3, country="US")
    world.land(
        leads=[
            {"email": "n@example.com", "country": "NO"},
            {"email": "d@example.com", "country": "DE"},
        ]
    )
    world.tick()
    assert count(world) == 4
    world.land(leads=[{"email": "u1@example.com", "country": "US", "first_name": "New"}])
    world.tick()
    assert count(world) == 4


def test_a_lead_that_changes_into_the_rule_is_enrolled_then(world):
    world.sequence("one", MAIL, head="enroll: {when: \"lead.plan = 'pro'\"}\n")
    world.leads(2, attributes={"plan": "free"})
    world.tick()
    assert count(world) == 0
    world.land(leads=[{"email": "u1@example.com", "attributes": {"plan": "pro"}}])
    world.tick()
    assert count(world) == 1


def test_a_changed_rule_looks_at_everybody_again(world):
    world.sequence("one", MAIL, head="enroll: {when: \"lead.country = 'DE'\"}\n")
    world.leads(2, country="US")
    world.tick()
    world.sequence("one", MAIL, head="enroll: {when: \"lead.country = 'US'\"}\n")
    world.tick()
    assert count(world) == 2


def test_a_sequence_takes_no_more_than_its_room_and_holdouts_take_none(world):
    world.sequence("one", MAIL, head="enroll: {when: \"lead.source = 'ONE'\", max_leads: 5}\n")
    world.leads(8)
    world.tick()
    assert count(world) == 5
    world.leads(8, source="TWO")
    world.tick()
    assert count(world) == 5


def test_raising_the_holdout_moves_only_treated_leads_out(world):
    head = "enroll: {when: \"lead.source = 'ONE'\", holdout: %s}\n"
    world.sequence("one", MAIL, head=head % "10%")
    world.sequence("two", MAIL, head=head % "40%")
    world.leads(300)
    world.tick()
    held = {
        name: {
            lead
            for (lead,) in world.rows(
                f"select lead_id from enrollments where is_holdout and sequence_id = '{name}'"
            )
        }
        for name in ("one", "two")
    }
    assert binomtest(len(held["one"]), 300, 0.1).pvalue > 0.001
    assert binomtest(len(held["two"]), 300, 0.4).pvalue > 0.001
    # nested within one sequence: the same draw, a higher threshold
    draws = world.rows(
        "select lead_id, ('0x' || md5((select value from meta where key = 'id_salt') || ':holdout:one:' || lead_id)[:13])"
        "::bigint / 4503599627370496.0 from leads"
    )
    assert {lead for lead, draw in draws if draw < 0.1} == held["one"]
    assert held["one"] <= {lead for lead, draw in draws if draw < 0.4}


def test_draft_and_paused_sequences_enroll_nobody(world):
    world.sequence("one", MAIL, head="status: draft\n")
    world.sequence("two", MAIL, head="status: paused\nenroll: {when: \"lead.source = 'ONE'\"}\n")
    world.leads(3)
    world.tick()
    assert count(world) == 0


def test_imported_leads_are_history_and_enter_by_no_rule(world):
    world.sequence("one", MAIL)
    world.land(
        source="import:old", leads=[{"email": "o@example.com", "source": "ONE", "external_id": "1"}]
    )
    world.tick()
    assert count(world) == 0
    world.now += timedelta(days=1)
    world.land(leads=[{"email": "o@example.com", "source": "ONE", "first_name": "Back"}])
    world.tick()
    assert count(world) == 1


TWO_DAYS = MAIL + "  - {id: b, after: 2d, channel: email, subject: Hi, body: templates/hello.md}\n"
OF_SPRING = "campaign: spring\nenroll: {when: \"lead.source = 'ONE'\"}\n"


def entries(world):
    return world.rows("select sequence_id, count(*) from enrollments group by all order by all")


def test_of_a_campaign_a_lead_is_in_one_sequence_and_enters_the_next_when_that_has_ended(world):
    world.sequence("one", TWO_DAYS, head=OF_SPRING)
    world.sequence("two", MAIL, head=OF_SPRING)
    world.sequence("other", MAIL, head=OF_SPRING.replace("spring", "autumn"))
    world.leads(3)
    world.tick()
    assert entries(world) == [("one", 3), ("other", 3)]
    assert world.rows("select distinct sequence_id, waits_since from entry_waits") == [
        ("two", world.now)
    ]
    world.tick(days=1)
    assert entries(world) == [("one", 3), ("other", 3)]
    world.tick(days=2)
    assert entries(world) == [("one", 3), ("other", 3), ("two", 3)]
    assert world.rows("select count(*) from entry_waits") == [(0,)]


def test_who_waited_and_fits_the_rule_no_longer_does_not_enter(world):
    world.sequence("one", TWO_DAYS, head=OF_SPRING)
    world.sequence("two", MAIL, head='campaign: spring\nenroll: {when: "lead.plan is null"}\n')
    world.leads(2)
    world.tick()
    world.land(leads=[{"email": "u1@example.com", "attributes": {"plan": "pro"}}])
    world.tick(days=1)
    world.tick(days=2)
    assert entries(world) == [("one", 2), ("two", 1)]
    assert world.rows("select count(*) from entry_waits") == [(0,)]


def test_who_became_free_during_a_pause_enters_when_the_sequence_is_resumed(world):
    spring = "campaign: spring\n" + ONE % ""
    world.sequence("one", TWO_DAYS, head=spring)
    world.sequence("two", MAIL, head=spring)
    world.leads(1)
    world.tick()
    pause(world.settings, Target("sequence", "two"), world.now, "operator")
    world.tick(days=1)
    world.tick(days=2)
    assert world.rows("select status from enrollment_ends") == [("completed",)]
    assert world.rows("select sequence_id from enrollments") == [("one",)]
    resume(world.settings, Target("sequence", "two"), world.now)
    world.tick(hours=1)
    assert world.rows("select sequence_id from enrollments order by all") == [("one",), ("two",)]


def test_a_sequence_with_overlap_runs_beside_the_others_of_its_campaign(world):
    world.sequence("one", TWO_DAYS, head=OF_SPRING)
    world.sequence("two", MAIL, head="overlap: true\n" + OF_SPRING)
    world.leads(2)
    world.tick()
    assert entries(world) == [("one", 2), ("two", 2)]


def test_who_waits_enters_once_the_campaign_is_taken_off_a_file(world):
    world.sequence("one", TWO_DAYS, head=OF_SPRING)
    world.sequence("two", MAIL, head=OF_SPRING)
    world.leads(2)
    world.tick()
    world.sequence("one", TWO_DAYS, head=OF_SPRING.replace("campaign: spring\n", ""))
    world.tick(days=1)
    assert entries(world) == [("one", 2), ("two", 2)]


def test_enrollments_are_numbered_by_the_age_of_the_lead_then_by_lead_and_sequence(world):
    for name in ("two", "one"):
        world.sequence(name, MAIL, head="enroll: {when: \"lead.source = 'ONE'\"}\n")
    world.leads(200)
    world.tick()
    numbered = world.rows("select lead_id, sequence_id from enrollments order by enrollment_id")
    assert numbered == sorted(numbered)


ONE = "enroll: {when: \"lead.source = 'ONE'\"%s}\n"
BY_HAND = "enroll: {}\n"


def ask(world, sequence="one", email="u0@example.com", **fields):
    world.land(
        source="operator",
        commands=[
            {"kind": "enroll", "enrolled_by": "hand", "sequence": sequence}
            | {"lead": {"email": email}}
            | fields
        ],
    )


def answers(world):
    return world.rows(
        "select outcome, reason, enrollment_id from commands order by requested_at, command_id"
    )


def test_a_request_enrolls_a_lead_and_says_so(world):
    world.sequence("one", MAIL, head=BY_HAND)
    world.leads(2)
    ask(world, email="u1@example.com")
    world.tick()
    assert answers(world) == [("enrolled", None, 1)]
    assert world.rows("select enrolled_by, entry_no, starts_at from enrollments") == [
        ("hand", 1, None)
    ]
    assert [m["To"].addresses[0].username for m in world.mail()] == ["u1"]


def test_a_list_enrolls_its_leads_and_its_columns_reach_their_texts(world, tmp_path):
    body = "Yours is {{ context.offer | default('nothing') }}."
    (world.folder / "templates" / "offer.md").write_text(body)
    world.sequence("one", MAIL.replace("hello.md", "offer.md"), head=BY_HAND)
    world.leads(3)
    file = tmp_path / "leads.csv"
    file.write_text("email,offer\nu0@example.com,spring\nu2@example.com,\n")
    assert request_list(world.settings, "one", file, world.now, by="Ann") == 2
    world.tick()
    assert world.rows("select distinct enrolled_by, enrolled_at from enrollments") == [
        ("list", world.now)
    ]
    said = {m["To"].addresses[0].username: m.get_body(("plain",)) for m in world.mail()}
    assert said.keys() == {"u0", "u2"}
    assert "Yours is spring." in said["u0"].get_content()
    assert "Yours is nothing." in said["u2"].get_content()


def test_a_request_that_cannot_be_met_is_refused_with_its_reason(world):
    world.sequence("one", TWO_DAYS, head="enroll: {max_leads: 1}\n" + "campaign: spring\n")
    world.sequence("two", MAIL, head=BY_HAND + "campaign: spring\n")
    world.sequence("old", MAIL, head="status: archived\n" + BY_HAND)
    world.leads(2)
    ask(world)
    world.tick()
    for sequence, email in [
        ("one", "u0@example.com"),
        ("one", "u1@example.com"),
        ("two", "u0@example.com"),
        ("old", "u0@example.com"),
        ("nothing", "u0@example.com"),
    ]:
        world.now += timedelta(minutes=1)
        ask(world, sequence, email)
    world.tick()
    reasons = [reason for _, reason, _ in answers(world)]
    assert reasons == [None, "running", "max_leads", "campaign", "not_active", "unknown_sequence"]
    assert world.rows("select count(*) from enrollments") == [(1,)]


def test_who_asks_twice_where_no_place_is_left_is_told_so_twice(world):
    world.sequence("one", TWO_DAYS, head="enroll: {max_leads: 1}\n")
    world.leads(2)
    for email in ["u0@example.com", "u1@example.com", "u1@example.com", "u0@example.com"]:
        world.now += timedelta(minutes=1)
        ask(world, "one", email)
    world.tick()
    assert [reason for _, reason, _ in answers(world)] == [
        None,
        "max_leads",
        "max_leads",
        "running",
    ]


def test_a_request_for_a_paused_sequence_stays_open_until_it_runs(world):
    world.sequence("one", MAIL, head="status: paused\n" + BY_HAND)
    world.leads(1)
    ask(world)
    world.tick()
    assert answers(world) == [(None, None, None)]
    world.sequence("one", MAIL, head=BY_HAND)
    world.tick()
    assert answers(world) == [("enrolled", None, 1)]


def test_the_same_request_twice_is_one_and_two_at_once_enroll_once(world):
    world.sequence("one", MAIL, head=ONE % "")
    world.leads(1)
    for key in ("k", "k", "other"):
        ask(world, key=key)
    world.tick()
    assert sorted(map(str, answers(world))) == [
        "('enrolled', None, 1)",
        "('refused', 'running', None)",
    ]
    assert world.rows("select enrolled_by from enrollments") == [("hand",)]


def test_a_request_may_say_when_to_start_and_delays_count_from_there(world):
    steps = MAIL + (
        "  - {id: b, after: {since: enrollment, delay: 1d}, channel: email, subject: Hi,"
        " body: templates/hello.md}\n"
    )
    world.sequence("one", steps, head=BY_HAND)
    world.leads(1)
    start = world.now + timedelta(days=200)
    ask(world, starts_at=start.isoformat())
    world.tick()
    assert world.rows("select due_at, anchor_at from live") == [(start, start)]
    world.now = start
    world.tick()
    assert len(world.mail()) == 1
    # The clock has changed to summer time, the wall time has not.
    assert world.rows("select due_at from live") == [(start + timedelta(days=1),)]


def test_a_start_that_has_passed_is_now(world):
    world.sequence("one", MAIL, head=BY_HAND)
    world.leads(1)
    ask(world, starts_at="2026-01-01T00:00:00Z")
    world.tick()
    assert world.rows("select starts_at from enrollments") == [(None,)]
    assert len(world.mail()) == 1


def test_by_request_a_lead_enters_again_after_the_cooldown(world):
    world.sequence("one", MAIL, head="enroll: {cooldown: 10d}\n")
    world.leads(1)
    ask(world)
    world.tick()
    world.now += timedelta(days=9)
    ask(world)
    world.tick()
    world.now += timedelta(days=1)
    ask(world)
    world.tick()
    assert [reason for _, reason, _ in answers(world)] == [None, "cooldown", None]
    assert world.rows("select entry_no from enrollments order by all") == [(1,), (2,)]
    assert len(world.mail()) == 2


def change(world, plan):
    world.land(leads=[{"email": "u0@example.com", "attributes": {"plan": plan}}])


@pytest.mark.parametrize(("reenter", "entries"), [("never", 1), ("auto", 2)])
def test_a_rule_enrolls_again_only_where_the_file_says_so(world, reenter, entries):
    head = f"enroll: {{when: \"lead.plan = 'pro'\", reenter: {reenter}, cooldown: 10d}}\n"
    world.sequence("one", MAIL, head=head)
    world.leads(1, attributes={"plan": "pro"})
    world.tick()
    # Still true: nothing turns.
    world.land(leads=[{"email": "u0@example.com", "country": "US"}])
    world.tick(days=20)
    assert count(world) == 1
    change(world, "free")
    world.tick(days=1)
    change(world, "pro")
    world.tick(days=1)
    assert count(world) == entries


def test_a_rule_that_turns_true_within_the_cooldown_has_had_its_chance(world):
    head = "enroll: {when: \"lead.plan = 'pro'\", reenter: auto, cooldown: 10d}\n"
    world.sequence("one", MAIL, head=head)
    world.leads(1, attributes={"plan": "pro"})
    world.tick()
    for plan, days in [("free", 1), ("pro", 1), ("pro", 20)]:
        change(world, plan)
        world.tick(days=days)
    assert count(world) == 1


def test_who_has_converted_enters_again_by_no_rule(world):
    head = (
        "goal: {name: sale}\nenroll: {when: \"lead.plan = 'pro'\", reenter: auto, cooldown: 10d}\n"
    )
    world.sequence("one", MAIL, head=head)
    world.leads(1, attributes={"plan": "pro"})
    world.tick()
    world.event("converted", name="sale", email="u0@example.com")
    change(world, "free")
    world.tick(days=20)
    change(world, "pro")
    world.tick(days=1)
    assert count(world) == 1


def test_of_two_sequences_of_a_campaign_the_one_with_priority_takes_the_lead(world):
    world.sequence("one", MAIL, head=OF_SPRING)
    world.sequence("two", MAIL, head=OF_SPRING.replace("{when", "{priority: 5, when"))
    world.leads(2)
    world.tick()
    assert entries(world)[-1] == ("two", 2)
    assert world.rows("select sequence_id from enrollments order by enrollment_id limit 2") == [
        ("two",),
        ("two",),
    ]


def test_a_lead_that_may_not_be_contacted_enters_nothing(world):
    world.sequence("one", MAIL, head=ONE % "")
    world.leads(2)
    world.land(
        source="operator",
        commands=[{"kind": "do_not_contact", "lead": {"email": "u0@example.com"}}],
    )
    ask(world)
    world.tick()
    assert count(world) == 1
    assert set(answers(world)) == {("done", None, None), ("refused", "do_not_contact", None)}


PRICING = "enroll: {event: {kind: clicked, url: '*pricing*'}%s}\n"
CLICK = {"email": "u0@example.com", "agent": "Mozilla/5.0 (iPhone; like Mac OS X)"}


def test_a_click_enrolls_its_lead_once_it_is_judged_a_persons(world):
    world.sequence("one", MAIL, head=PRICING % "")
    world.leads(2)
    world.tick()
    world.event("clicked", url="https://example.com/other", **CLICK)
    world.event("clicked", url="https://example.com/pricing?a", **CLICK)
    world.event(
        "clicked", url="https://example.com/pricing", email="u1@example.com", agent="curl/8"
    )
    assert world.tick().next_at == world.now + timedelta(seconds=10)
    assert count(world) == 0
    world.tick(seconds=10)
    assert world.rows("select enrolled_by, enrolled_at from enrollments") == [("event", world.now)]
    assert world.tick(hours=2).next_at is None
    assert world.rows("select count(*) from entry_events") == [(0,)]


def test_a_custom_event_enrolls_by_its_name_and_word_where_the_rule_holds_too(world):
    head = (
        "enroll: {event: {kind: custom, name: deal_stage, value: demo}, "
        "when: \"lead.country = 'US'\"}\n"
    )
    world.sequence("one", MAIL, head=head)
    world.leads(3, country="US")
    world.land(leads=[{"email": "d@example.com", "country": "DE"}])
    for lead, word in [("u0", "demo"), ("u1", "won"), ("d", "demo")]:
        world.event("custom", name="deal_stage", value=word, email=f"{lead}@example.com")
    world.event("custom", name="other", value="demo", email="u2@example.com")
    world.tick()
    assert count(world) == 1
    assert len(world.mail()) == 1


def test_an_event_enrolls_again_after_the_cooldown_where_the_file_says_so(world):
    world.sequence("one", MAIL, head=PRICING % ", reenter: auto, cooldown: 10d")
    world.leads(1)
    for days in (0, 5, 5):
        world.now += timedelta(days=days)
        world.event("clicked", url="https://example.com/pricing", **CLICK)
        world.tick()
        world.tick(seconds=10)
    assert count(world) == 2


def test_an_event_during_a_pause_enrolls_when_the_sequence_runs_again(world):
    world.sequence("one", MAIL, head="status: paused\n" + PRICING % "")
    world.leads(1)
    world.event("clicked", url="https://example.com/pricing", **CLICK)
    world.tick()
    assert world.tick(days=1).next_at is None
    world.sequence("one", MAIL, head=PRICING % "")
    world.tick()
    assert count(world) == 1
