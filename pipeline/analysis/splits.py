"""Where a split that is not as declared comes from: by day, source, country and sender.

Belongs here: the same check for each value of each trait. Does not: the alarm itself, which is of
all units together (`sample_ratio`), what follows from it (`experiments`).
"""

import polars as pl
from scipy import stats

from pipeline.analysis.sample_ratio import LEAST_EXPECTED, Split, check_sample_ratios

# How many of the values that stand out may do so by chance alone.
FALSE_SHARE = 0.10

SPLITS_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "trait": pl.String(),
    "value": pl.String(),
    "arm": pl.String(),
    "n_assigned": pl.Int64(),
    "n_expected": pl.Float64(),
    "p_value": pl.Float64(),
    "q_value": pl.Float64(),
    "is_uneven": pl.Boolean(),
}


def check_splits(
    splits: pl.DataFrame, experiments: pl.DataFrame, arms: pl.DataFrame
) -> pl.DataFrame:
    """Return each arm's part of each value of each trait beside what was declared.

    Exploratory: the p-value is that of the value's own split (chi-square); q-values hold the share
    of values that stand out by chance at 10 %, by experiment and trait. Where fewer than five units
    are expected in an arm nothing stands out. Experiments whose shares have changed, or follow the
    results, have no declared split and no rows.

    Args:
        splits: marts.experiment_splits.
        experiments: marts.experiments.
        arms: marts.experiment_arms, any of its rows that name each arm's share.
    """
    fixed = experiments.filter(
        pl.col("allocation") != "thompson", ~pl.col("has_changing_shares").fill_null(value=False)
    )
    shares: dict[str, dict[str, float]] = {}
    for experiment_id, arm, share in arms.select("experiment_id", "arm", "share").unique().rows():
        shares.setdefault(experiment_id, {})[arm] = share
    known = splits.join(fixed, on="experiment_id", how="semi").sort(splits.columns)
    groups: dict[tuple[str, str, str], dict[str, int]] = {}
    for experiment_id, trait, value, arm, n in known.select(
        "experiment_id", "trait", "value", "arm", "n_assigned"
    ).rows():
        groups.setdefault((experiment_id, trait, value), {})[arm] = n
    found = check_sample_ratios([Split(of, shares.get(key[0], {})) for key, of in groups.items()])
    rows = [
        (*key, arm, n, ratio.expected[arm], ratio.p_value, min(ratio.expected.values()))
        for key, ratio in zip(groups, found, strict=True)
        for arm, n in ratio.observed.items()
    ]
    names = [*SPLITS_SCHEMA][:7]
    told = pl.DataFrame(rows, schema=[*names, "least"], orient="row")
    return _mark(told.cast({name: SPLITS_SCHEMA[name] for name in names}))


def _mark(told: pl.DataFrame) -> pl.DataFrame:
    """Add q-values within each experiment and trait, one test per value."""
    keys = ["experiment_id", "trait", "value"]
    tested = told.filter(pl.col("least") >= LEAST_EXPECTED).unique(keys, maintain_order=True)
    parts = [
        part.select(
            *keys, q_value=pl.Series(stats.false_discovery_control(part["p_value"].to_numpy()))
        )
        for _, part in tested.group_by("experiment_id", "trait", maintain_order=True)
    ]
    none = pl.DataFrame(schema={**dict.fromkeys(keys, pl.String), "q_value": pl.Float64})
    joined = told.join(pl.concat([none, *parts]), on=keys, how="left", maintain_order="left")
    uneven = (pl.col("q_value") < FALSE_SHARE).fill_null(value=False)
    return joined.with_columns(is_uneven=uneven).select(*SPLITS_SCHEMA)
