-- One row per sequence, group, outcome and day on which somebody came to it.
create or replace table analysis.conversion_curves (
    sequence_id varchar not null,
    "group" varchar not null,
    outcome varchar not null,
    day bigint not null,
    n_at_risk bigint not null,
    count_reached bigint not null,
    share double not null,
    interval_low double not null,
    interval_high double not null
);

comment on table analysis.conversion_curves is
'One row per sequence, group, outcome and day with such outcomes: Aalen-Johansen time from enrollment.';
comment on column analysis.conversion_curves.sequence_id is 'Sequence.';
comment on column analysis.conversion_curves."group" is 'treated or held_out.';
comment on column analysis.conversion_curves.outcome is
'converted, or how a lead left that has not converted: unsubscribed, bounced or stopped.';
comment on column analysis.conversion_curves.day is 'Whole days since enrollment, by dates of the workspace.';
comment on column analysis.conversion_curves.n_at_risk is 'Leads observed that long that had neither converted nor left before.';
comment on column analysis.conversion_curves.count_reached is 'Leads that came to the outcome on that day.';
comment on column analysis.conversion_curves.share is
'Share that has come to the outcome by the end of that day, with leads still open counted as long as they were observed.';
comment on column analysis.conversion_curves.interval_low is 'Lower end of its 95 % interval (log-log, Greenwood).';
comment on column analysis.conversion_curves.interval_high is 'Upper end of its 95 % interval (log-log, Greenwood).';

insert into analysis.conversion_curves by name select * from new_rows; -- noqa: AM04
