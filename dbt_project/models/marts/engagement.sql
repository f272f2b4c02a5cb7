-- One row per sent message that can be answered.
{% set reactions = {'open': 'opened', 'click': 'clicked', 'reply': 'replied'} %}

with sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and {{ is_message('channel') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

final as (
    select
        s.send_id,
        s.enrollment_id,
        s.lead_id,
        s.sequence_id,
        s.step_id,
        s.variant,
        s.channel,
        s.origin,
        s.handed_over_at,
        {{ local_date('s.handed_over_at', 's.zone') }} as sent_on,
        cast({{ local_weekday('s.handed_over_at', 's.zone') }} as bigint) as weekday,
        cast({{ local_hour('s.handed_over_at', 's.zone') }} as bigint) as hour,
        s.was_delivered,
        w.refreshed_at as observed_until,
    {% for verb, past in reactions.items() %}
        s.was_{{ past }},
        -- Clocks of others may be behind ours: never below 0.
        greatest(
            {{ seconds_between('s.handed_over_at', 'coalesce(s.first_' ~ past ~ '_at, w.refreshed_at)') }}, 0
        ) as {{ verb }}_seconds{{ ',' if not loop.last }}
    {% endfor %}
    from sends as s
    cross join refresh as w
)

select * from final
