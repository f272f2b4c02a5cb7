-- One row per rate with a target, mail sender and week in which it sent.
with sends as (
    select * from {{ ref('int_sends') }}
    where origin = 'live' and channel = 'email' and was_sent
),

targets as (
    select * from {{ ref('stg_targets') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

weeks as (
    select
        s.sender,
        {{ week_of(local_date('s.handed_over_at', 'w.timezone')) }} as week,
        count(*) as count_sent,
        count(*) filter (where s.was_delivered) as count_delivered,
        count(*) filter (where s.was_delivered and s.was_opened) as count_opened,
        count(*) filter (where s.was_delivered and s.was_clicked) as count_clicked,
        count(*) filter (where s.was_bounced) as count_bounced,
        count(*) filter (where s.was_delivered and s.was_complained) as count_complained
    from sends as s
    cross join refresh as w
    group by s.sender, {{ week_of(local_date('s.handed_over_at', 'w.timezone')) }}
),

measured as (
    select
        t.metric,
        k.sender,
        k.week,
        {{ add_days('k.week', 14) }} <= w.refreshed_on as is_complete,
        case t.metric
            when 'delivery_rate_per_sent' then k.count_delivered
            when 'open_rate_per_delivered' then k.count_opened
            when 'click_rate_per_delivered' then k.count_clicked
            when 'bounce_rate_per_sent' then k.count_bounced
            when 'complaint_rate_per_delivered' then k.count_complained
        end as numerator,
        case when t.metric like '%_per_sent' then k.count_sent else k.count_delivered end as denominator,
        t.target,
        t.is_floor
    from weeks as k
    cross join targets as t
    cross join refresh as w
),

judged as (
    select
        *,
        {{ rate('numerator', 'denominator') }} as rate,
        -- The end of the interval that is nearest to the target: of a floor's rate what is missing at the least.
        case
            when is_floor then 1 - ({{ least_share('(denominator - numerator)', 'denominator') }})
            else {{ least_share('numerator', 'denominator') }}
        end as nearest_rate,
        max(week) filter (where is_complete) over (partition by sender) as latest_week
    from measured
),

final as (
    select
        metric,
        sender,
        week,
        is_complete,
        coalesce(week = latest_week, false) as is_latest,
        numerator,
        denominator,
        rate,
        target,
        is_floor,
        case when is_floor then rate >= target else rate <= target end as is_met,
        denominator > 0 and case when is_floor then nearest_rate < target else nearest_rate > target end
            as is_surely_missed
    from judged
)

select * from final
