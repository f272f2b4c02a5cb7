-- One row per sentence.
create or replace table analysis.insights (
    rank bigint not null,
    topic varchar not null,
    sequence_id varchar,
    sentence varchar not null,
    value double not null,
    interval_low double,
    interval_high double,
    evidence_label varchar not null,
    sql varchar not null
);

comment on table analysis.insights is
'One row per sentence: what changed, where the bottleneck is, what to try next; rank is the order to read them in.';
comment on column analysis.insights.rank is 'Order, from 1.';
comment on column analysis.insights.topic is 'changed, bottleneck or try.';
comment on column analysis.insights.sequence_id is 'Sequence that it is about; null = several.';
comment on column analysis.insights.sentence is 'The finding with its number, its uncertainty and what it rests on.';
comment on column analysis.insights.value is 'The number.';
comment on column analysis.insights.interval_low is 'Lower end of its interval; null where there is none.';
comment on column analysis.insights.interval_high is 'Upper end of it.';
comment on column analysis.insights.evidence_label is
'randomised (an effect), observed, association or rule of thumb (no evidence).';
comment on column analysis.insights.sql is 'Query on the warehouse that gives the rows behind it.';

insert into analysis.insights by name select * from new_rows; -- noqa: AM04
