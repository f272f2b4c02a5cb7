-- One row per experiment: its latest look.
create or replace table analysis.experiment_decisions (
    experiment_id varchar not null,
    metric varchar not null,
    looked_on date not null,
    state varchar not null,
    winner varchar,
    reason varchar not null,
    mode varchar not null,
    alpha double not null,
    control varchar,
    is_auto boolean not null,
    n bigint not null,
    n_assigned bigint not null,
    effect double,
    interval_low double,
    interval_high double,
    relative_lift double,
    shrunk_effect double,
    shrunk_low double,
    shrunk_high double,
    probability_best double,
    expected_loss double,
    prior_spread double,
    prior_tests bigint,
    p_value double not null,
    sample_ratio_p double not null,
    sample_ratio_log_e double not null,
    evidence json not null
);

comment on table analysis.experiment_decisions is
'One row per experiment: the decision of the latest daily look.';
comment on column analysis.experiment_decisions.experiment_id is 'Experiment, for ever.';
comment on column analysis.experiment_decisions.metric is 'Primary metric: the only one that decides.';
comment on column analysis.experiment_decisions.looked_on is 'Workspace day of the look; days begin at 06:00.';
comment on column analysis.experiment_decisions.state is
'collecting, running, winner, either_of, no_difference, harmful or invalid.';
comment on column analysis.experiment_decisions.winner is 'Arm that won; it stays once named.';
comment on column analysis.experiment_decisions.reason is 'Why the state is what it is, in words.';
comment on column analysis.experiment_decisions.mode is 'open: no size planned; planned: error spent up to a plan.';
comment on column analysis.experiment_decisions.alpha is 'Error rate of the whole experiment, over all its looks.';
comment on column analysis.experiment_decisions.control is 'Arm the others are measured against.';
comment on column analysis.experiment_decisions.is_auto is 'Whether the engine applies the winner.';
comment on column analysis.experiment_decisions.n is 'Matured leads, all arms together; only these decide.';
comment on column analysis.experiment_decisions.n_assigned is 'Leads assigned so far, matured or not.';
comment on column analysis.experiment_decisions.effect is
'Mean of the winner (or the best arm) minus the control; when the control won, minus its closest rival.';
comment on column analysis.experiment_decisions.interval_low is
'Lower end of the interval of the effect that holds at every look; null before burn-in.';
comment on column analysis.experiment_decisions.interval_high is
'Upper end of the interval of the effect that holds at every look; null before burn-in.';
comment on column analysis.experiment_decisions.relative_lift is 'Effect divided by the baseline mean; shown, never tested.';
comment on column analysis.experiment_decisions.shrunk_effect is
'The effect that is honest to expect: shrunk by what the workspace''s finished tests of this kind found; null before burn-in.';
comment on column analysis.experiment_decisions.shrunk_low is
'Lower end of the 95 % interval of the honest effect.';
comment on column analysis.experiment_decisions.shrunk_high is
'Upper end of the 95 % interval of the honest effect.';
comment on column analysis.experiment_decisions.probability_best is
'Probability that the winner (or the best arm) is the best of all competing arms; it decides nothing.';
comment on column analysis.experiment_decisions.expected_loss is
'What choosing that arm costs on average against the best one, per lead in units of the metric.';
comment on column analysis.experiment_decisions.prior_spread is
'How much true effects of this kind spread, as a share of the base rate: learned, or 0.1 below 20 tests.';
comment on column analysis.experiment_decisions.prior_tests is 'Comparisons of finished tests that it could be learned from.';
comment on column analysis.experiment_decisions.p_value is 'P-value of the effect that holds at every look.';
comment on column analysis.experiment_decisions.sample_ratio_p is
'Chi-square p-value of the split over all groups, the held-out one included; alarm below 0.001.';
comment on column analysis.experiment_decisions.sample_ratio_log_e is
'Log e-value against the declared split; alarm above log(100).';
comment on column analysis.experiment_decisions.evidence is
'All that the next look needs and all that recomputes this one; stored in the ledger with the look.';

insert into analysis.experiment_decisions by name select * from new_rows; -- noqa: AM04
