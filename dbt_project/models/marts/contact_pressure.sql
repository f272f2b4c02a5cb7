-- One row per week and number of contacts that leads had in it.
with sends as (
    select * from {{ ref('int_sends') }}
    where
        origin = 'live'
        and {{ is_contact('channel') }}
        -- Of an unknown one the person may know (R9).
        and (was_sent or status = 'unknown')
),

leads as (
    select * from {{ ref('int_leads') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

weeks as (
    select
        {{ week_of('local_on') }} as week,
        lead_id,
        count(*) as count_contacts,
        count(distinct sequence_id) as count_sequences,
        count(distinct channel) as count_channels,
        bool_or(was_clicked or was_replied) as has_responded,
        bool_or(was_unsubscribed) as has_unsubscribed,
        bool_or(was_complained) as has_complained
    from sends
    group by {{ week_of('local_on') }}, lead_id
),

counted as (
    select
        week,
        count_contacts,
        count(*) as count_leads,
        count(*) filter (where count_sequences > 1) as count_leads_of_several_sequences,
        count(*) filter (where count_channels > 1) as count_leads_of_several_channels,
        count(*) filter (where has_responded) as count_responded,
        count(*) filter (where has_unsubscribed) as count_unsubscribed,
        count(*) filter (where has_complained) as count_complained
    from weeks
    group by week, count_contacts
),

spans as (
    select
        min(k.week) as first_week,
        {{ week_of('w.refreshed_on') }} as last_week
    from weeks as k
    cross join refresh as w
    group by w.refreshed_on
),

calendar as (
    select {{ weeks_from('first_week', 'greatest(first_week, last_week)') }} as week
    from spans
),

arrivals as (
    select
        {{ week_of(local_date('l.created_at', 'w.timezone')) }} as week,
        count(*) as count_leads
    from leads as l
    cross join refresh as w
    group by {{ week_of(local_date('l.created_at', 'w.timezone')) }}
),

known as (
    select
        k.week,
        sum(a.count_leads) as count_leads
    from calendar as k
    left join arrivals as a on k.week >= a.week
    group by k.week
),

reached as (
    select
        week,
        count(*) as count_leads
    from weeks
    group by week
),

-- Whom nobody contacted: without them a week of silence would be missing.
all_counts as (
    select * from counted
    union all
    select
        k.week,
        0 as count_contacts,
        cast(greatest(coalesce(k.count_leads, 0) - coalesce(r.count_leads, 0), 0) as bigint) as count_leads,
        0 as count_leads_of_several_sequences,
        0 as count_leads_of_several_channels,
        0 as count_responded,
        0 as count_unsubscribed,
        0 as count_complained
    from known as k
    left join reached as r on k.week = r.week
),

final as (
    select
        c.*,
        {{ add_days('c.week', 14) }} <= w.refreshed_on as is_complete
    from all_counts as c
    cross join refresh as w
)

select * from final
