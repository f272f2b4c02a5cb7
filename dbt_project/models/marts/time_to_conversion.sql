-- One row per enrollment, held-out ones included.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
),

-- What an import recorded begins with its first conversion: who came earlier could not be seen to convert before.
recorded as (
    select min(converted_at) as first_at
    from enrollments
    where origin = 'import' and converted_at is not null
),

observed as (
    select
        e.*,
        case
            when e.was_won_before_contact then e.enrolled_at
            else greatest(coalesce(e.converted_at, e.refreshed_at), e.enrolled_at)
        end as stopped_at,
        case
            when e.converted_at is not null or e.status <> 'exited' then null
            when e.end_reason in ('unsubscribed', 'complained', 'do_not_contact') then 'unsubscribed'
            when e.end_reason = 'bounced' then 'bounced'
            when e.end_reason in ('stopped', 'archived') then 'stopped'
        end as left_as,
        case when e.origin = 'import' then r.first_at end as seen_from_at
    from enrollments as e
    cross join recorded as r
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
        left_as,
        case
            when left_as is not null
                then greatest(
                    cast(
                        {{ days_between(local_date('enrolled_at', 'timezone'), local_date('ended_at', 'timezone')) }}
                        as bigint
                    ),
                    0
                )
        end as left_whole_days,
        -- From the day before on, so that the first conversion itself was seen.
        greatest(
            coalesce(
                cast(
                    {{ days_between(local_date('enrolled_at', 'timezone'), local_date('seen_from_at', 'timezone')) }}
                    as bigint
                ) - 1,
                0
            ),
            0
        ) as observed_from_whole_days,
        was_won_before_contact
    from observed
)

select * from final
