-- One row per sequence, weekday and hour; a sequence has 168, or none.
create or replace table analysis.send_hours (
    sequence_id varchar not null,
    weekday bigint not null,
    hour bigint not null,
    n bigint not null,
    count_responded bigint not null,
    score double not null,
    interval_low double not null,
    interval_high double not null,
    probability_better double not null,
    is_better boolean not null
);

comment on table analysis.send_hours is
'One row per sequence, weekday and hour, of sequences with 50,000 messages: how often people answered what was sent then. Observed, for people to look at: blocks are what is drawn.';
comment on column analysis.send_hours.sequence_id is 'Sequence.';
comment on column analysis.send_hours.weekday is 'Day in the recipient''s zone, 0 = Monday.';
comment on column analysis.send_hours.hour is 'Hour of the wall clock there, 0 to 23.';
comment on column analysis.send_hours.n is 'Messages sent then that people had seven days to answer.';
comment on column analysis.send_hours.count_responded is 'Of n, those that a person clicked or replied to within seven days.';
comment on column analysis.send_hours.score is 'Posterior mean of the share answered, drawn to the mean of the week.';
comment on column analysis.send_hours.interval_low is 'Lower end of the 90 % interval.';
comment on column analysis.send_hours.interval_high is 'Upper end of the 90 % interval.';
comment on column analysis.send_hours.probability_better is 'That the hour is above the average of what was sent.';
comment on column analysis.send_hours.is_better is 'Whether that is above 95 %.';

insert into analysis.send_hours by name select * from new_rows; -- noqa: AM04
