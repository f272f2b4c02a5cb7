-- One row per enrollment, held-out ones included.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
),

observed as (
    select
        *,
        case
            when was_won_before_contact then enrolled_at
            else greatest(coalesce(converted_at, refreshed_at), enrolled_at)
        end as stopped_at
    from enrollments
),

final as (
    select
        enrollment_id,
        lead_id,
        sequence_id,
        is_holdout,
        enrolled_at as started_at,
        enrolled_on as started_on,
        refreshed_at as observed_until,
        {{ seconds_between('enrolled_at', 'stopped_at') }} / 86400 as duration_days,
        cast(
            {{ days_between(local_date('enrolled_at', 'timezone'), local_date('stopped_at', 'timezone')) }} as bigint
        ) as duration_whole_days,
        converted_at is not null as is_converted,
        was_won_before_contact
    from observed
)

select * from final
