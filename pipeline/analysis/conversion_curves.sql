-- One row per sequence, group and day on which somebody converted.
create or replace table analysis.conversion_curves (
    sequence_id varchar not null,
    "group" varchar not null,
    day bigint not null,
    n_at_risk bigint not null,
    count_converted bigint not null,
    share_converted double not null,
    interval_low double not null,
    interval_high double not null
);

comment on table analysis.conversion_curves is
'One row per sequence, group and day with conversions: Kaplan-Meier time from enrollment to conversion.';
comment on column analysis.conversion_curves.sequence_id is 'Sequence.';
comment on column analysis.conversion_curves."group" is 'treated or held_out.';
comment on column analysis.conversion_curves.day is 'Whole days since enrollment, by dates of the workspace.';
comment on column analysis.conversion_curves.n_at_risk is 'Leads observed that long and not converted before.';
comment on column analysis.conversion_curves.count_converted is 'Conversions on that day.';
comment on column analysis.conversion_curves.share_converted is
'Share converted by the end of that day, with leads still open counted as long as they were observed.';
comment on column analysis.conversion_curves.interval_low is 'Lower end of its 95 % interval (log-log, Greenwood).';
comment on column analysis.conversion_curves.interval_high is 'Upper end of its 95 % interval (log-log, Greenwood).';

insert into analysis.conversion_curves by name select * from new_rows; -- noqa: AM04
