"""Who enters: rules, once in a life, room, holdouts."""

from datetime import timedelta

from scipy.stats import binomtest

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
