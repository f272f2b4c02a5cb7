-- One row per step with a holdout of its own and metric.
create or replace table analysis.step_effects (
    sequence_id varchar not null,
    step_id varchar not null,
    metric varchar not null,
    n_sent bigint not null,
    n_held_out bigint not null,
    rate_sent double,
    rate_held_out double,
    effect double,
    interval_low double,
    interval_high double,
    is_decisive boolean not null,
    sample_ratio_p double,
    alarm varchar
);

comment on table analysis.step_effects is
'One row per step with a holdout of its own and metric: what the step adds, by lot.';
comment on column analysis.step_effects.sequence_id is 'Sequence.';
comment on column analysis.step_effects.step_id is 'Step with a holdout of its own.';
comment on column analysis.step_effects.metric is
'converted, or unsubscribed as the cost, within 30 days of coming to the step.';
comment on column analysis.step_effects.n_sent is 'Enrollments that were to get the message, observed for 30 days.';
comment on column analysis.step_effects.n_held_out is
'Enrollments that were held out there by lot, observed for 30 days.';
comment on column analysis.step_effects.rate_sent is 'Share of n_sent with the outcome.';
comment on column analysis.step_effects.rate_held_out is 'Share of n_held_out with the outcome.';
comment on column analysis.step_effects.effect is
'Difference of the two: what the step adds; null after an alarm.';
comment on column analysis.step_effects.interval_low is
'Lower end of the 95 % interval that holds at every look; null before both groups have 100 leads and ten outcomes.';
comment on column analysis.step_effects.interval_high is 'Upper end of it.';
comment on column analysis.step_effects.is_decisive is 'Whether the interval leaves out zero.';
comment on column analysis.step_effects.sample_ratio_p is
'How probable so many held-out leads are by the declared share; null where no version declares it.';
comment on column analysis.step_effects.alarm is
'Why no effect is claimed: another share was held out than declared; null where the lot was kept.';

insert into analysis.step_effects by name select * from new_rows; -- noqa: AM04
