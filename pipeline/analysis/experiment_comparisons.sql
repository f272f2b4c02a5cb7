-- One row per experiment, metric and pair of arms.
create or replace table analysis.experiment_comparisons (
    experiment_id varchar not null,
    metric varchar not null,
    is_primary boolean not null,
    arm varchar not null,
    baseline varchar not null,
    is_against_held_out boolean not null,
    n_arm bigint not null,
    n_baseline bigint not null,
    mean_arm double,
    mean_baseline double,
    effect double,
    interval_low double,
    interval_high double,
    plain_95_low double,
    plain_95_high double,
    relative_lift double,
    shrunk_effect double,
    shrunk_low double,
    shrunk_high double,
    probability_better double,
    adjusted_effect double,
    adjusted_low double,
    adjusted_high double,
    p_value double not null,
    is_decisive boolean not null
);

comment on table analysis.experiment_comparisons is
'One row per experiment, metric and pair: every two competing arms, and each of them with the held-out group.';
comment on column analysis.experiment_comparisons.experiment_id is 'Experiment, for ever.';
comment on column analysis.experiment_comparisons.metric is 'What is counted.';
comment on column analysis.experiment_comparisons.is_primary is 'Whether this metric decides the experiment.';
comment on column analysis.experiment_comparisons.arm is 'Arm whose effect is shown.';
comment on column analysis.experiment_comparisons.baseline is 'Arm it is measured against.';
comment on column analysis.experiment_comparisons.is_against_held_out is
'Whether the baseline is the group that is never contacted: then the effect is the incremental one.';
comment on column analysis.experiment_comparisons.n_arm is 'Matured leads of the arm.';
comment on column analysis.experiment_comparisons.n_baseline is 'Matured leads of the baseline.';
comment on column analysis.experiment_comparisons.mean_arm is 'Mean per matured lead of the arm.';
comment on column analysis.experiment_comparisons.mean_baseline is 'Mean per matured lead of the baseline.';
comment on column analysis.experiment_comparisons.effect is 'mean_arm minus mean_baseline.';
comment on column analysis.experiment_comparisons.interval_low is
'Lower end of the interval that holds at every look; null before burn-in.';
comment on column analysis.experiment_comparisons.interval_high is
'Upper end of the interval that holds at every look; null before burn-in.';
comment on column analysis.experiment_comparisons.plain_95_low is
'Lower end of the ordinary 95 % interval (Newcombe; Welch for money): right for a single look only.';
comment on column analysis.experiment_comparisons.plain_95_high is
'Upper end of the ordinary 95 % interval (Newcombe; Welch for money): right for a single look only.';
comment on column analysis.experiment_comparisons.relative_lift is 'Effect divided by mean_baseline; shown, never tested.';
comment on column analysis.experiment_comparisons.shrunk_effect is
'The effect that is honest to expect: shrunk by what finished tests of this kind found; null before burn-in.';
comment on column analysis.experiment_comparisons.shrunk_low is
'Lower end of the 95 % interval of the honest effect.';
comment on column analysis.experiment_comparisons.shrunk_high is
'Upper end of the 95 % interval of the honest effect.';
comment on column analysis.experiment_comparisons.probability_better is
'Probability that the arm is better than the baseline, under the same prior; it decides nothing.';
comment on column analysis.experiment_comparisons.adjusted_effect is
'Primary metric: the effect without what clicks, replies and conversions before the draw explain (CUPED).';
comment on column analysis.experiment_comparisons.adjusted_low is
'Lower end of its interval that holds at every look; shown, while the unadjusted one decides.';
comment on column analysis.experiment_comparisons.adjusted_high is
'Upper end of its interval that holds at every look; shown, while the unadjusted one decides.';
comment on column analysis.experiment_comparisons.p_value is 'P-value that holds at every look; 1 before burn-in.';
comment on column analysis.experiment_comparisons.is_decisive is
'Primary metric: the boundary is crossed at this look. Other metrics: found by e-BH at a false-discovery rate of 10 %.';

insert into analysis.experiment_comparisons by name select * from new_rows; -- noqa: AM04
