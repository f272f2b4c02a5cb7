-- One row per sequence, weekday and block of four hours; a sequence has 42, or none.
create or replace table analysis.send_times (
    sequence_id varchar not null,
    weekday bigint not null,
    block bigint not null,
    n bigint not null,
    count_responded bigint not null,
    score double not null,
    interval_low double not null,
    interval_high double not null,
    probability_better double not null,
    is_better boolean not null,
    weight double not null,
    propensity double,
    evidence_label varchar not null,
    computed_at timestamptz not null
);

comment on table analysis.send_times is
'One row per sequence, weekday and block of four hours: how often people answered what was sent then. No rows = too little is known.';
comment on column analysis.send_times.sequence_id is 'Sequence; `calendar.preferred_hours` reads these rows.';
comment on column analysis.send_times.weekday is 'Day in the recipient''s zone, 0 = Monday.';
comment on column analysis.send_times.block is 'Four hours of the wall clock there: 0 = 00:00 to 04:00, 5 = 20:00 to 24:00.';
comment on column analysis.send_times.n is 'Messages sent then that people had seven days to answer.';
comment on column analysis.send_times.count_responded is 'Of n, those that a person clicked or replied to within seven days.';
comment on column analysis.send_times.score is 'Posterior mean of the share answered, drawn to the mean of the week.';
comment on column analysis.send_times.interval_low is 'Lower end of the 90 % interval.';
comment on column analysis.send_times.interval_high is 'Upper end of the 90 % interval.';
comment on column analysis.send_times.probability_better is 'That the block is above the average of what was sent.';
comment on column analysis.send_times.is_better is 'Whether that is above 95 %; the best score alone proves nothing.';
comment on column analysis.send_times.weight is
'Share of a day''s messages where all its blocks are open: 15 % spread evenly, the rest to the best score. Of a day sum 1.';
comment on column analysis.send_times.propensity is
'Mean probability with which messages were drawn for this block; null where none was.';
comment on column analysis.send_times.evidence_label is
'randomised where every message of the block was drawn by lot, else observed: who is written to then may differ, too.';
comment on column analysis.send_times.computed_at is 'Moment of the facts: the version of the scores.';

insert into analysis.send_times by name select * from new_rows; -- noqa: AM04
