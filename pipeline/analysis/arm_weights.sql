-- One row per experiment with allocation thompson and arm.
create or replace table analysis.arm_weights (
    experiment_id varchar not null,
    arm varchar not null,
    weight double not null,
    probability_best double not null,
    n bigint not null,
    computed_at timestamptz not null
);

comment on table analysis.arm_weights is
'One row per experiment with allocation thompson and arm: the share of new leads that gets it until the next refresh.';
comment on column analysis.arm_weights.experiment_id is 'Experiment whose weights follow its results.';
comment on column analysis.arm_weights.arm is 'Arm; what is held out has none.';
comment on column analysis.arm_weights.weight is
'Share of the leads drawn from now on; of one experiment sum 1, and never below the floor.';
comment on column analysis.arm_weights.probability_best is 'That no other arm has a higher mean, given what matured.';
comment on column analysis.arm_weights.n is 'Matured leads of the arm.';
comment on column analysis.arm_weights.computed_at is 'Moment of the facts.';

insert into analysis.arm_weights by name select * from new_rows; -- noqa: AM04
