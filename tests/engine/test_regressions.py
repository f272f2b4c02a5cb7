"""What the second interpreter found: one small world for each, in the order in which it was mended."""

MAIL = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
HELD_OUT = "enroll: {when: \"lead.source = 'ONE'\", holdout: 50%}\n"


def test_a_ghost_waits_for_the_daily_cap_like_everybody(world):
    # Ghosts went past a full cap, so their time zero came days before that of the contacted (R12).
    world.sequence("one", MAIL, head=HELD_OUT + "limits: {per_day: 1}\n")
    world.leads(8)
    first = world.now
    for day in range(8):
        world.tick(days=min(day, 1))
    rows = world.rows(
        """
        select e.is_holdout, coalesce(s.claimed_at, x.ended_at)
        from enrollments as e
        left join sends as s using (enrollment_id)
        left join enrollment_ends as x using (enrollment_id)
        order by e.enrollment_id
        """
    )
    assert {is_holdout for is_holdout, _ in rows} == {True, False}
    contacted = 0
    for is_holdout, moment in rows:
        assert (moment - first).days == contacted
        contacted += not is_holdout


def test_held_out_leads_take_no_place_of_a_full_sequence(world):
    # A batch with held-out leads filled fewer places than there were, for ever.
    head = "enroll: {when: \"lead.source = 'ONE'\", holdout: 50%, max_leads: 3}\n"
    world.sequence("one", MAIL, head=head)
    world.leads(12)
    world.tick()
    rows = world.rows("select is_holdout from enrollments order by enrollment_id")
    assert [is_holdout for (is_holdout,) in rows].count(False) == 3
    assert rows[-1] == (False,)  # nobody is held out of a sequence that takes no one
