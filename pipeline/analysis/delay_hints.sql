-- One row per sequence and step with 50 replies.
create or replace table analysis.delay_hints (
    sequence_id varchar not null,
    step_id varchar not null,
    n bigint not null,
    count_replied bigint not null,
    earliest_days double not null,
    earliest_low double not null,
    earliest_high double not null,
    hazard_ratio double,
    hazard_low double,
    hazard_high double,
    e_value double,
    shortest_usual_days double,
    longest_usual_days double,
    evidence_label varchar not null,
    proposal varchar not null
);

comment on table analysis.delay_hints is
'One row per sequence and step with 50 replies: what its waits suggest to test. Nothing of it is an effect.';
comment on column analysis.delay_hints.sequence_id is 'Sequence.';
comment on column analysis.delay_hints.step_id is 'Step whose replies these are.';
comment on column analysis.delay_hints.n is 'Messages of the step in the last 365 days.';
comment on column analysis.delay_hints.count_replied is 'Of n, those that were replied to.';
comment on column analysis.delay_hints.earliest_days is
'Day by which 80 % of the replies that come within 14 days have come; bounces and unsubscribes compete.';
comment on column analysis.delay_hints.earliest_low is 'Lower end of its 95 % interval (bootstrap over messages).';
comment on column analysis.delay_hints.earliest_high is 'Upper end of it.';
comment on column analysis.delay_hints.hazard_ratio is
'How much faster replies came after twice the wait before the step (Cox, with weekday and earlier engagement); null where waits hardly differed.';
comment on column analysis.delay_hints.hazard_low is 'Lower end of its 95 % interval, errors by lead.';
comment on column analysis.delay_hints.hazard_high is 'Upper end of it.';
comment on column analysis.delay_hints.e_value is
'Risk ratio that something unseen would need with wait and reply to explain the end of the interval nearer to 1.';
comment on column analysis.delay_hints.shortest_usual_days is '10th percentile of the waits before the step.';
comment on column analysis.delay_hints.longest_usual_days is '90th percentile of them.';
comment on column analysis.delay_hints.evidence_label is 'association: nobody drew lots for these waits.';
comment on column analysis.delay_hints.proposal is 'What follows in words: at most a test.';

insert into analysis.delay_hints by name select * from new_rows; -- noqa: AM04
