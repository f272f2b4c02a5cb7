-- One row per sequence and group with conversions.
create or replace table analysis.conversion_times (
    sequence_id varchar not null,
    "group" varchar not null,
    n bigint not null,
    count_converted bigint not null,
    count_left_before bigint not null,
    horizon_days bigint not null,
    mean_days_unconverted double not null,
    interval_low double not null,
    interval_high double not null,
    p_value_of_groups double,
    median_days double,
    quarter_of_converters_days double not null,
    half_of_converters_days double not null,
    eighty_of_converters_days double not null
);

comment on table analysis.conversion_times is
'One row per sequence and group with conversions: how long it takes, in a few numbers.';
comment on column analysis.conversion_times.sequence_id is 'Sequence.';
comment on column analysis.conversion_times."group" is 'treated or held_out.';
comment on column analysis.conversion_times.n is 'Enrollments that were observed at all.';
comment on column analysis.conversion_times.count_converted is 'Of n, those that have converted so far.';
comment on column analysis.conversion_times.count_left_before is
'Of n, those that unsubscribed, bounced or were stopped and have not converted.';
comment on column analysis.conversion_times.horizon_days is
'Longest time for which every group of the sequence was observed, in whole days.';
comment on column analysis.conversion_times.mean_days_unconverted is
'Mean days without a conversion up to the horizon; less is sooner or more.';
comment on column analysis.conversion_times.interval_low is 'Lower end of its 95 % interval.';
comment on column analysis.conversion_times.interval_high is 'Upper end of its 95 % interval.';
comment on column analysis.conversion_times.p_value_of_groups is
'Of no difference in that mean between treated and held out, for one look; null with one group.';
comment on column analysis.conversion_times.median_days is 'Day by which half of all have converted; null until then.';
comment on column analysis.conversion_times.quarter_of_converters_days is
'Conditional on having converted within what was observed: day by which a quarter of these had.';
comment on column analysis.conversion_times.half_of_converters_days is 'The same for half of these.';
comment on column analysis.conversion_times.eighty_of_converters_days is 'The same for 80 % of these.';

insert into analysis.conversion_times by name select * from new_rows; -- noqa: AM04
