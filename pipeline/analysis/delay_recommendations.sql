-- One row per delay experiment and metric.
create or replace table analysis.delay_recommendations (
    experiment_id varchar not null,
    metric varchar not null,
    recommended_delay_seconds bigint,
    state varchar not null,
    reason varchar not null,
    evidence_label varchar not null,
    effect double,
    interval_low double,
    interval_high double,
    n bigint not null
);

comment on table analysis.delay_recommendations is
'One row per delay experiment and metric: the delay to use, or that it cannot be told yet.';
comment on column analysis.delay_recommendations.experiment_id is 'Experiment whose arms differ in their delay.';
comment on column analysis.delay_recommendations.metric is 'replied or converted, within the window from assignment.';
comment on column analysis.delay_recommendations.recommended_delay_seconds is 'Delay to use; null when undecided.';
comment on column analysis.delay_recommendations.state is 'States of experiment_decisions.';
comment on column analysis.delay_recommendations.reason is 'The advice in words, with numbers and interval.';
comment on column analysis.delay_recommendations.evidence_label is 'randomised: delays were drawn by lot, so the advice is causal.';
comment on column analysis.delay_recommendations.effect is 'Difference in share between the best delay and the control.';
comment on column analysis.delay_recommendations.interval_low is
'Lower end of the interval that holds at every look; null before burn-in.';
comment on column analysis.delay_recommendations.interval_high is
'Upper end of the interval that holds at every look; null before burn-in.';
comment on column analysis.delay_recommendations.n is 'Matured leads, all delays together.';

insert into analysis.delay_recommendations by name select * from new_rows; -- noqa: AM04
