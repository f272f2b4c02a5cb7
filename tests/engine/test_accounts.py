"""Tests by account: all leads of a company get the same arm, and the account is what is counted."""

from scipy.stats import binomtest

from pipeline.analysis.refresh import refresh
from pipeline.sequences.compile import load_workspace
from pipeline.warehouse.read import query
from tests.engine.conftest import WORKSPACE

STEP = """  - id: a
    channel: email
    subject: Hi
    body: templates/hello.md
    experiment:
      id: e_1
      unit: account
      control: x
      metric: replied
      window: 3d
      {more}variants:
        - {{id: x}}
        - {{id: y, {change}}}
"""


def write(world, more="", change="subject: Other", head=""):
    world.folder.joinpath("workspace.yml").write_text(
        WORKSPACE.replace("[plan]", "[plan, company]") + "account: company\n"
    )
    world.sequence("one", STEP.format(more=more, change=change), head=head)


def land(world, names, company):
    world.land(
        leads=[
            {"external_id": name, "email": f"{name}@example.com", "source": "ONE"}
            | ({"attributes": {"company": company(name)}} if company(name) else {})
            for name in names
        ]
    )


def arms_by_company(world):
    return world.rows(
        "select lower(trim(l.attributes ->> '$.company')), list_sort(list(distinct s.variant)), count(*) "
        "from sends as s inner join leads as l using (lead_id) group by 1 order by 1"
    )


def test_all_leads_of_an_account_get_one_arm_and_the_account_one_row(world):
    write(world)
    land(world, [f"u{i}" for i in range(90)], lambda name: f"C{int(name[1:]) % 30}")
    world.tick()
    found = arms_by_company(world)
    assert [(len(arms), count) for _, arms, count in found] == [(1, 3)] * 30
    assert {arm for _, arms, _ in found for arm in arms} == {"x", "y"}
    assert len(world.rows("from assignments")) == 30
    assert world.rows("select count(*), count(distinct lead_id) from account_leads") == [(90, 90)]
    assert world.rows(
        "select count(*) from account_leads as m inner join assignments as a "
        "using (experiment_id, unit_id) inner join sends as s on s.lead_id = m.lead_id "
        "and s.variant = a.arm"
    ) == [(90,)]


def test_a_lead_without_an_account_is_its_own(world):
    write(world)
    land(world, [f"u{i}" for i in range(20)], lambda name: None)
    land(world, [f"v{i}" for i in range(20)], lambda name: " ")
    world.tick()
    assert len(world.rows("from assignments")) == 40
    assert world.rows("select count(*) from assignments inner join leads on unit_id = lead_id") == [
        (40,)
    ]


def test_how_an_account_is_written_makes_no_difference(world):
    write(world)
    land(
        world, ["u0", "u1", "u2"], lambda name: ["ACME.com", " acme.com", "acme.COM"][int(name[1])]
    )
    world.tick()
    assert len(world.rows("from assignments")) == 1


def test_who_joins_later_gets_the_arm_of_the_account_and_adds_no_unit(world):
    write(world)
    land(world, [f"u{i}" for i in range(20)], lambda name: name[1:])
    world.tick()
    before = world.rows("from assignments order by unit_id")
    land(world, [f"v{i}" for i in range(20)], lambda name: name[1:])
    world.tick(hours=1)
    assert world.rows("from assignments order by unit_id") == before
    assert [(len(arms), count) for _, arms, count in arms_by_company(world)] == [(1, 2)] * 20
    assert len(world.rows("from account_leads")) == 40


def test_the_account_that_counts_is_the_one_the_lead_had_first(world):
    write(
        world,
        more="",
        change="after: 2h",
        head="enroll: {when: \"lead.source = 'ONE'\"}\n",
    )
    path = world.folder / "one.yml"
    path.write_text(
        path.read_text().replace("    channel: email\n", "    after: 1h\n    channel: email\n")
    )
    land(world, ["u0"], lambda name: "one")
    world.tick()
    land(world, ["u0"], lambda name: "two")
    world.tick(hours=1)
    world.tick(hours=1)
    assert len(world.rows("from assignments")) == 1
    assert len(world.rows("from account_leads")) == 1


def test_held_out_leads_are_outside_a_test_by_account(world):
    write(world, head="enroll: {when: \"lead.source = 'ONE'\", holdout: 30%}\n")
    land(world, [f"u{i}" for i in range(120)], lambda name: f"C{int(name[1:]) % 30}")
    world.tick()
    assert dict(world.rows("select arm, share from arms")) == {"x": 0.5, "y": 0.5}
    assert world.rows("select distinct probability from assignments") == [(0.5,)]
    ghosts = world.rows("select count(*) from why where outcome = 'held_out'")[0][0]
    assert binomtest(ghosts, 120, 0.3).pvalue > 0.001
    assert len(world.rows("from account_leads")) == 120 - ghosts
    assert not world.rows(
        "from account_leads inner join enrollments using (enrollment_id) where is_holdout"
    )


def test_weights_and_share_are_those_of_accounts(world):
    write(world, more="weights: {x: 80%, y: 20%}\n      share: 50%\n      ")
    land(world, [f"u{i}" for i in range(600)], lambda name: f"C{int(name[1:]) % 300}")
    world.tick()
    drawn = dict(world.rows("select arm, count(*) from assignments group by all"))
    assert binomtest(sum(drawn.values()), 300, 0.5).pvalue > 0.001
    assert binomtest(drawn["y"], sum(drawn.values()), 0.2).pvalue > 0.001
    # Outside the sample an account gets the control, all of it.
    assert all(len(arms) == 1 for _, arms, _ in arms_by_company(world))


def test_the_warehouse_counts_accounts_and_any_of_their_leads_answers_for_them(world):
    write(world)
    land(world, [f"u{i}" for i in range(60)], lambda name: f"C{int(name[1:]) % 20}")
    world.tick()
    # Two leads of one account reply, and one of another: two accounts.
    for name in ("u0", "u20", "u1"):
        world.event("replied", external_id=name)
    world.tick(hours=1)
    world.tick(days=4)
    refresh(world.home, world.settings, world.now, workspace=load_workspace(world.folder))
    arms = query(
        world.home,
        "select sum(n_assigned) as n_assigned, sum(n) as n, sum(sum) as sum from marts.experiment_arms "
        "where metric = 'replied'",
    )
    assert arms.rows() == [(20, 20, 2.0)]
    assert query(
        world.home, "select unit, count_units, count_conflicting_units from marts.experiments"
    ).rows() == [("account", 20, 0)]
