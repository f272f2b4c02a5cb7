-- One row per lead.
with leads as (
    select * from {{ ref('int_leads') }}
),

final as (
    select
        lead_id,
        created_at,
        source,
        country,
        timezone,
        origin,
        status,
        first_contacted_at,
        responded_at,
        converted_at,
        count_enrollments,
        count_sends,
        revenue,
        attributes
    from leads
)

select * from final
