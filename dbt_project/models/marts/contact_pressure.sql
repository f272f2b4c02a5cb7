-- One row per week and number of contacts that leads had in it.
with sends as (
    select * from {{ ref('int_sends') }}
    where
        origin = 'live'
        and {{ is_contact('channel') }}
        -- Of an unknown one the person may know (R9).
        and (was_sent or status = 'unknown')
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

final as (
    select
        c.*,
        {{ add_days('c.week', 14) }} <= w.refreshed_on as is_complete
    from counted as c
    cross join refresh as w
)

select * from final
