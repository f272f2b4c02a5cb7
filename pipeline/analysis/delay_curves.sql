-- One row per delay experiment, arm, metric, end and day on which somebody came to it.
create or replace table analysis.delay_curves (
    experiment_id varchar not null,
    arm varchar not null,
    metric varchar not null,
    outcome varchar not null,
    day bigint not null,
    n_at_risk bigint not null,
    count_reached bigint not null,
    share double not null,
    interval_low double not null,
    interval_high double not null
);

comment on table analysis.delay_curves is
'One row per delay experiment, arm, metric, end and day: how soon answers come after each delay began.';
comment on column analysis.delay_curves.experiment_id is 'Experiment whose arms differ in their delay.';
comment on column analysis.delay_curves.arm is 'Arm.';
comment on column analysis.delay_curves.metric is 'What is waited for: replied or converted.';
comment on column analysis.delay_curves.outcome is
'End: the metric itself, or what competes with it: unsubscribed, bounced or stopped.';
comment on column analysis.delay_curves.day is 'Whole days since the draw, with which the delay begins.';
comment on column analysis.delay_curves.n_at_risk is 'Units observed until that day to whom nothing had happened before.';
comment on column analysis.delay_curves.count_reached is 'Of these, units that came to this end on that day: the hazard is their share.';
comment on column analysis.delay_curves.share is 'Share of all units that came to this end by the end of the day (Aalen-Johansen).';
comment on column analysis.delay_curves.interval_low is 'Lower end of the 95 % interval of the share, log-log, for this day alone.';
comment on column analysis.delay_curves.interval_high is 'Upper end of the 95 % interval of the share, log-log, for this day alone.';

insert into analysis.delay_curves by name select * from new_rows; -- noqa: AM04
