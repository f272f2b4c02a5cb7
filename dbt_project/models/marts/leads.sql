-- One row per lead.
with leads as (
    select * from {{ ref('int_leads') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

final as (
    select
        l.lead_id,
        l.created_at,
        {{ local_date('l.created_at', 'w.timezone') }} as created_on,
        l.source,
        l.country,
        l.timezone,
        l.origin,
        l.status,
        l.first_contacted_at,
        l.responded_at,
        l.converted_at,
        l.count_enrollments,
        l.count_sends,
        l.revenue,
        l.attributes
    from leads as l
    cross join refresh as w
)

select * from final
