-- One row per message that reached out to a lead: its place among those of its enrollment.
with sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and {{ is_contact('channel') }}
),

final as (
    select
        send_id,
        row_number() over (partition by enrollment_id order by handed_over_at, send_id) as position
    from sends
)

select * from final
