-- One row per sequence, weekday and block of four hours in which it sent something that people can answer.
with sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and origin = 'live' and {{ is_message('channel') }}
),

draws as (
    select * from {{ ref('stg_hour_draws') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

-- The wall clock of the recipient, as the engine knew it; seven days to answer, over for all that count.
placed as (
    select
        s.*,
        {{ local_date('s.handed_over_at', 's.zone') }} as sent_on,
        cast({{ local_weekday('s.handed_over_at', 's.zone') }} as bigint) as weekday,
        cast({{ local_hour('s.handed_over_at', 's.zone') }} // 4 as bigint) as block,
        least(s.first_clicked_at, s.first_replied_at) as responded_at
    from sends as s
    cross join refresh as r
    where {{ add_seconds('s.handed_over_at', 7 * 86400) }} <= r.refreshed_at
),

-- A limit or a downtime may have moved a message out of the block that was drawn: then no lot decided.
judged as (
    select
        p.*,
        coalesce(p.responded_at <= {{ add_seconds('p.handed_over_at', 7 * 86400) }}, false) as has_responded,
        d.propensity
    from placed as p
    left join draws as d
        on
            p.enrollment_id = d.enrollment_id
            and p.version_id = d.version_id
            and p.step_ix = d.step_ix
            and p.block = d.block
            and p.sent_on = d.local_on
),

final as (
    select
        sequence_id,
        weekday,
        block,
        count(*) as n,
        count(*) filter (where has_responded) as count_responded,
        count(propensity) as count_randomised,
        avg(propensity) as propensity
    from judged
    group by sequence_id, weekday, block
)

select * from final
