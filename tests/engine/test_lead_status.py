"""The view `lead_status`: of each lead the first status that holds (design.md section 4)."""

from datetime import timedelta

from pipeline.inbound.requests import request_block

MAIL = "channel: email, subject: Hi, body: templates/hello.md"
STEPS = f"""
  - {{id: a, after: 1h, {MAIL}}}
  - {{id: quiet, after: 1d, when: not replied(), end: inactive}}
"""
GOAL = "react: {replied: continue}\ngoal: {event: converted, name: sale, within: 30d}\n"
ADA = "u0@example.com"


def statuses(world):
    rows = world.rows(
        "select i.email, s.status from lead_status as s inner join identities as i using (lead_id)"
    )
    assert len(rows) == len(dict(rows)), "one row per lead"
    return dict(rows)


def begin(world, **steps):
    world.sequence("one", steps.get("steps", STEPS), head=GOAL)
    world.leads(2)
    world.tick()


def test_a_lead_goes_through_every_status(world):
    world.leads(1)
    world.tick()
    assert statuses(world) == {ADA: "new"}
    world.sequence("one", STEPS, head=GOAL)
    world.tick()
    assert statuses(world) == {ADA: "in_progress"}
    world.tick(hours=1)
    assert statuses(world) == {ADA: "contacted"}
    world.tick(days=1)
    assert statuses(world) == {ADA: "inactive"}
    world.now += timedelta(hours=1)
    world.event("replied", email=ADA)
    world.tick()
    assert statuses(world) == {ADA: "responded"}
    world.event("converted", name="sale", email=ADA)
    world.tick(hours=1)
    assert statuses(world) == {ADA: "converted"}
    world.now += timedelta(hours=1)
    world.event("conversion_reversed", name="sale", email=ADA)
    world.tick()
    assert statuses(world) == {ADA: "rejected"}
    request_block(world.settings.home, ADA, world.now)
    world.tick()
    assert statuses(world) == {ADA: "do_not_contact"}


def test_a_second_goal_that_holds_is_not_taken_back_by_the_first_ones_reversal(world):
    begin(world)
    for kind, name in (
        ("converted", "sale"),
        ("converted", "demo"),
        ("conversion_reversed", "sale"),
    ):
        world.now += timedelta(minutes=1)
        world.event(kind, name=name, email=ADA)
    world.tick()
    assert statuses(world) == {ADA: "converted", "u1@example.com": "in_progress"}


def test_a_machines_reply_is_no_response(world):
    begin(world)
    world.tick(hours=1)
    world.event("auto_replied", email=ADA)
    world.tick()
    assert statuses(world)[ADA] == "contacted"


def test_who_is_held_out_stays_new(world):
    head = GOAL + "enroll: {when: \"lead.source = 'ONE'\", holdout: 99%}\n"
    world.sequence("one", STEPS, head=head)
    world.leads(30)
    world.tick()
    world.tick(hours=1)
    ghosts = {
        email
        for (email,) in world.rows(
            "select email from enrollments inner join identities using (lead_id) where is_holdout"
        )
    }
    assert len(ghosts) > 20
    assert {statuses(world)[email] for email in ghosts} == {"new"}
