-- What a warehouse says of itself: written before dbt starts.
-- The models read `refreshed_at`, `timezone`, `currency` and `attribution` here and not from dbt variables: another value of a
-- variable makes dbt parse the whole project anew.
create schema meta;

create table meta.refresh (
    refresh_id varchar not null,
    refreshed_at timestamptz not null,
    ledger_copied_at timestamptz not null,
    driplab_version varchar not null,
    timezone varchar not null,
    currency varchar not null,
    attribution varchar not null,
    invocation_id varchar,
    audited_at timestamptz
);

comment on table meta.refresh is 'One row: the refresh that made this file, and the moment of its facts.';
comment on column meta.refresh.refreshed_at is 'Moment of the facts, UTC.';
comment on column meta.refresh.ledger_copied_at is 'When the ledger was copied, by the same clock.';
comment on column meta.refresh.attribution is 'Model of revenue attribution that workspace.yml has chosen.';
comment on column meta.refresh.invocation_id is 'Run of dbt that built the marts.';
comment on column meta.refresh.audited_at is 'Set by the audit; nothing is published without it.';

create table meta.ledger_rows (
    ledger_table varchar not null,
    count_rows bigint not null
);

comment on table meta.ledger_rows is 'One row per ledger table whose rows a mart must match in number.';

create table meta.definitions (
    semantic_manifest varchar not null
);

comment on table meta.definitions is 'One row: what the metrics mean in this very file, as dbt understood it (JSON).';

create table meta.targets (
    metric varchar not null,
    target double not null,
    is_floor boolean not null
);

comment on table meta.targets is 'One row per rate with a target in workspace.yml: at least that (is_floor), or at most.';

create table meta.rates (
    currency varchar not null,
    since date not null,
    rate decimal(18, 8) not null
);

comment on table meta.rates is
'One row per rate of workspace.yml: what one unit of the currency is worth in the workspace''s, from that date on.';

insert into meta.refresh
values ($refresh_id, $now, $now, $version, $timezone, $currency, $attribution, null, null);

insert into meta.ledger_rows
select 'leads', count(*) from ledger.main.leads
union all
select 'enrollments', count(*) from ledger.main.enrollments
union all
select 'sends', count(*) from ledger.main.sends
union all
select 'experiments', count(*) from ledger.main.experiments;

create schema analysis;
