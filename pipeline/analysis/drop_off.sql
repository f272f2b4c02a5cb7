-- One row per sequence, version, step and way in which somebody ended there.
create or replace table analysis.drop_off (
    sequence_id varchar not null,
    version varchar not null,
    step_ix bigint not null,
    step_id varchar not null,
    ended_as varchar not null,
    is_dropped boolean not null,
    n_at_risk bigint not null,
    count_ended bigint not null,
    hazard double not null,
    hazard_low double not null,
    hazard_high double not null,
    share double not null,
    share_low double not null,
    share_high double not null
);

comment on table analysis.drop_off is
'One row per sequence, version, step and way of ending: the chance of it among those who came so far.';
comment on column analysis.drop_off.sequence_id is 'Sequence.';
comment on column analysis.drop_off.version is 'Version at enrollment: an edit begins a new cohort.';
comment on column analysis.drop_off.step_ix is 'Place of the step in the flattened sequence; -1 = before the first.';
comment on column analysis.drop_off.step_id is 'Last step of those who ended here.';
comment on column analysis.drop_off.ended_as is
'As in marts.step_endings; completed = came to the end without an answer.';
comment on column analysis.drop_off.is_dropped is 'Whether they left before the end without an answer or a conversion.';
comment on column analysis.drop_off.n_at_risk is
'Enrollments that came so far: their last step is this one or a later one.';
comment on column analysis.drop_off.count_ended is 'Of these, those that ended here in this way.';
comment on column analysis.drop_off.hazard is 'Their share of n_at_risk.';
comment on column analysis.drop_off.hazard_low is 'Lower end of its 95 % interval (Wilson).';
comment on column analysis.drop_off.hazard_high is 'Upper end of it.';
comment on column analysis.drop_off.share is
'Share of all who entered that has ended in this way by this step; who is still in counts as far as they came (Aalen-Johansen).';
comment on column analysis.drop_off.share_low is 'Lower end of its 95 % interval.';
comment on column analysis.drop_off.share_high is 'Upper end of it.';

insert into analysis.drop_off by name select * from new_rows; -- noqa: AM04
