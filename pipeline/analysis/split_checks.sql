-- One row per experiment, trait, value and arm.
create or replace table analysis.split_checks (
    experiment_id varchar not null,
    trait varchar not null,
    value varchar not null,
    arm varchar not null,
    n_assigned bigint not null,
    n_expected double not null,
    p_value double not null,
    q_value double,
    is_uneven boolean not null
);

comment on table analysis.split_checks is
'One row per experiment, trait, value and arm: where a split that is not as declared comes from. Exploratory.';
comment on column analysis.split_checks.experiment_id is 'Experiment with declared, unchanged shares.';
comment on column analysis.split_checks.trait is 'day, source, country or sender.';
comment on column analysis.split_checks.value is 'Value of the trait.';
comment on column analysis.split_checks.arm is 'Arm; (holdout) for the group that is never contacted.';
comment on column analysis.split_checks.n_assigned is 'Units drawn that have this value.';
comment on column analysis.split_checks.n_expected is 'How many the declared share would give, of all units with this value.';
comment on column analysis.split_checks.p_value is 'Chi-square p-value of the split of this value, over all its arms.';
comment on column analysis.split_checks.q_value is
'The same, for all values of the trait together; null where fewer than 5 units are expected in an arm.';
comment on column analysis.split_checks.is_uneven is 'The value stands out: a tenth of such values do by chance.';

insert into analysis.split_checks by name select * from new_rows; -- noqa: AM04
