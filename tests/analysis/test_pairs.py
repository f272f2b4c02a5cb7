import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.pairs import (
    Arms,
    GroupRules,
    PairRule,
    pair_arms,
    take_looks,
    tell_evidence,
    tell_rows,
)

shares = st.integers(0, 3000).flatmap(
    lambda n: st.builds(lambda x: ArmStats(n, float(x), float(x)), st.integers(0, n))
)
money = st.lists(st.floats(0, 1000, allow_subnormal=False), max_size=300).map(
    lambda values: ArmStats(len(values), sum(values), sum(v * v for v in values))
)
stats = st.one_of(shares, money)
pairs_of_stats = st.lists(st.tuples(stats, stats, st.booleans()), min_size=1, max_size=8)


def table(*groups):
    """Arms by group, each (name, role, share, n); the first control of a group is named."""
    rows = [(group, *arm) for group, arms in enumerate(groups) for arm in arms]
    n = np.array([row[4] for row in rows], dtype=np.int64)
    return Arms(
        group=np.array([row[0] for row in rows], dtype=np.int64),
        name=np.array([row[1] for row in rows], dtype=str),
        competes=np.array([row[2] != "held_out" for row in rows], dtype=bool),
        is_control=np.array([row[2] == "control" for row in rows], dtype=bool),
        is_named=np.array([row[2] == "control" for row in rows], dtype=bool),
        share=np.array([row[3] for row in rows], dtype=float),
        stats=ArmStats(n, n * 0.1, n * 0.1),
    )


def rules(*planned):
    return GroupRules(
        alpha=np.full(len(planned), 0.06),
        planned_leads=np.array(planned, dtype=float),
        is_planned=np.array(planned) > 0,
        spread=np.full(len(planned), 0.1),
    )


@given(st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=6))
def test_of_every_group_all_competing_arms_are_compared_and_each_with_the_held_out(groups):
    arms = table(
        *(
            [(f"{ix}", "held_out" if is_held else "treatment", 0.2, 50) for ix, is_held in rows]
            for rows in (enumerate(sorted(group, reverse=True)) for group in groups)
        )
    )
    pairs = pair_arms(arms, rules(*([0] * len(groups))))
    expected = [
        (one, two)
        for group in range(len(groups))
        for one, two in combinations(np.flatnonzero(arms.group == group).tolist(), 2)
        if arms.competes[two]
    ]
    assert list(zip(pairs.baseline.tolist(), pairs.arm.tolist(), strict=True)) == expected
    assert (pairs.group == arms.group[pairs.arm]).all()


def test_each_group_has_its_own_plan_levels_and_order():
    arms = table(
        [("z", "control", 0.5, 1000), ("a", "treatment", 0.5, 1000)],
        [("b", "treatment", 0.3, 900), ("c", "treatment", 0.3, 600), ("h", "held_out", 0.4, 500)],
    )
    order = arms.order()
    assert arms.name[order].tolist() == ["z", "a", "h", "b", "c"]
    arms = Arms(
        *(
            value.rows(order) if isinstance(value, ArmStats) else value[order]
            for value in vars(arms).values()
        )
    )
    pairs = pair_arms(arms, rules(0, 4000))
    assert pairs.rule.pair_leads.tolist() == pytest.approx([5000, 2800, 2800, 2400])
    assert pairs.rule.alpha.tolist() == pytest.approx([0.06, 0.03, 0.03, 0.06])
    assert pairs.rule.plan_fraction.tolist() == pytest.approx([0, 0.5, 0.5, 0.5])
    assert pairs.rule.is_planned.tolist() == [False, True, True, True]


def columns_of(cases):
    rule = PairRule(
        alpha=np.full(len(cases), 0.05),
        pair_leads=np.full(len(cases), 4000.0),
        is_planned=np.array([is_planned for *_, is_planned in cases]),
        plan_fraction=np.full(len(cases), 0.4),
        spread=np.full(len(cases), 0.1),
    )
    sides = [ArmStats.columns([case[side] for case in cases]) for side in (0, 1)]
    return rule, *sides


@settings(max_examples=40)
@given(pairs_of_stats)
def test_pairs_looked_at_together_are_told_as_each_alone(cases):
    names = ["b"] * len(cases), ["a"] * len(cases)
    rule, *sides = columns_of(cases)
    looks = take_looks(rule, *sides)
    together = tell_evidence(looks, rule, names)
    first = tell_rows(looks.columns())
    # A second look remembers the first.
    again = tell_rows(take_looks(rule, *sides, together).columns())
    for row, case in enumerate(cases):
        rule, *sides = columns_of([case])
        alone = take_looks(rule, *sides)
        evidence = tell_evidence(alone, rule, (["b"], ["a"]))
        assert evidence == [together[row]]
        later = take_looks(rule, *sides, evidence)
        assert [first[row]] == tell_rows(alone.columns())
        assert [again[row]] == tell_rows(later.columns())


@settings(max_examples=40)
@given(pairs_of_stats)
def test_more_evidence_never_raises_a_p_value(cases):
    rule, *sides = columns_of(cases)
    first = take_looks(rule, *sides)
    evidence = tell_evidence(first, rule, (["b"] * len(cases), ["a"] * len(cases)))
    second = take_looks(rule, sides[1], sides[1], evidence)
    assert (second.p_value <= first.p_value).all()
    assert all(math.isfinite(p) for p in second.p_value.tolist())
