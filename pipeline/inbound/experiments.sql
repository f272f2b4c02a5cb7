-- Imported experiments: registered once with their arms, the first description counts.

create or replace temp table ingest_experiments as
with parsed as (
    select
        r.*,
        from_json(
            r.record,
            '{"experiment_id": "VARCHAR", "sequence_id": "VARCHAR", "step_id": "VARCHAR", "varies": "VARCHAR",
              "metric": "VARCHAR", "window_seconds": "VARCHAR", "mode": "VARCHAR", "planned_leads": "VARCHAR",
              "alpha": "VARCHAR", "is_auto": "VARCHAR", "arms": "JSON"}'
        ) as p
    from ingest_records as r
    where r.part = 'experiments'
),

typed as (
    select
        segment, rejected_id, line_id, position, received_text, received_at, source, origin, record,
        nullif(trim(p.experiment_id), '') as experiment_id, p.sequence_id, p.step_id,
        coalesce(p.varies, 'content') as varies, p.metric, try_cast(p.window_seconds as bigint) as window_seconds,
        coalesce(p.mode, 'open') as mode, try_cast(p.planned_leads as bigint) as planned_leads,
        coalesce(try_cast(p.alpha as double), 0.05) as alpha,
        coalesce(try_cast(p.is_auto as boolean), false) as is_auto,
        from_json(
            if(json_type(p.arms) = 'ARRAY', p.arms, '[]'::json),
            '[{"arm": "VARCHAR", "role": "VARCHAR", "share": "VARCHAR", "delay_seconds": "VARCHAR"}]'
        ) as arms
    from parsed
)

select
    *,
    case
        when experiment_id is null then 'The experiment has no "experiment_id".'
        when origin <> 'import' then 'Experiments are taken from imports only: live ones stand in a sequence.'
        when varies not in ('content', 'delay', 'send_time', 'channel', 'presence')
            then '"varies" is content, delay, send_time, channel or presence.'
        when mode not in ('open', 'planned') then '"mode" is open or planned.'
        when not coalesce(regexp_full_match(metric, 'replied|clicked|opened|(goal|revenue|custom)\(.+\)'), false)
            then '"metric" is replied, clicked, opened, goal(name), revenue(name) or custom(name).'
        when window_seconds is null or window_seconds <= 0 then '"window_seconds" is not a number above 0.'
        when alpha <= 0 or alpha >= 1 then '"alpha" lies between 0 and 1.'
        when len(arms) < 2 then 'An experiment needs two arms or more.'
        when len(list_filter(arms, lambda a: a.arm is null or try_cast(a.share as double) is null)) > 0
            then 'Every arm needs "arm", "role" and "share".'
        when len(list_filter(arms, lambda a: coalesce(a.role, '') not in ('control', 'treatment', 'held_out'))) > 0
            then 'The "role" of an arm is control, treatment or held_out.'
        when len(list_distinct(list_transform(arms, lambda a: a.arm))) < len(arms) then 'Two arms have the same name.'
        when abs(list_sum(list_transform(arms, lambda a: try_cast(a.share as double))) - 1) > 1e-6
            then 'The shares of the arms do not add up to 1.'
    end as reason
from typed;

insert into ingest_problems
select
    segment, rejected_id, received_at, source, reason,
    json_object('id', line_id, 'received_at', received_text, 'source', source, 'experiments', [record])
from ingest_experiments
where reason is not null;

create or replace temp table ingest_new_experiments as
select * from ingest_experiments
anti join experiments using (experiment_id)
where reason is null
qualify row_number() over (partition by experiment_id order by received_at, line_id, position) = 1;

insert into experiments by name
select
    experiment_id, sequence_id, step_id, varies, metric, window_seconds, mode, planned_leads, alpha, is_auto,
    received_at as registered_at, origin
from ingest_new_experiments;

insert into arms by name
with listed as (
    select experiment_id, unnest(arms) as a from ingest_new_experiments
)

select
    experiment_id, a.arm, a.role, try_cast(a.share as double) as share,
    try_cast(a.delay_seconds as bigint) as delay_seconds
from listed;
