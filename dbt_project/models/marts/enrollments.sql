-- One row per enrollment, held-out ones included.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
),

final as (
    select
        enrollment_id,
        lead_id,
        sequence_id,
        version,
        cast(entry_no as bigint) as entry_no,
        enrolled_at,
        enrolled_on,
        status,
        end_reason,
        ended_at,
        is_holdout,
        origin,
        time_zero_at,
        count_sends,
        was_contacted,
        was_replied,
        was_converted,
        converted_at,
        cast(revenue as decimal(18, 4)) as revenue,
        was_won_before_contact
    from enrollments
)

select * from final
