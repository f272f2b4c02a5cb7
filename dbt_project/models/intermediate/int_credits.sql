-- One row per conversion, model of attribution and message that has part of it; one without a message where none has.
with conversions as (
    select * from {{ ref('int_conversions') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and {{ is_contact('channel') }}
),

models as (
    select *
    from (values ('first'), ('last'), ('linear'), ('position'), ('time_decay')) as t (model)
),

-- Thirty days back from the conversion, whatever the sequence; or the message that the tracker names (R16).
touches as (
    select
        c.conversion_id,
        s.send_id,
        s.sequence_id,
        s.step_id,
        s.channel,
        s.handed_over_at,
        {{ seconds_between('s.handed_over_at', 'c.converted_at') }} / 86400 as days_before,
        coalesce(s.send_id = c.named_send_id, false) as is_named
    from conversions as c
    inner join sends as s on c.lead_id = s.lead_id
    where
        s.send_id = c.named_send_id
        or (
            s.handed_over_at <= c.converted_at
            and s.handed_over_at >= {{ add_seconds('c.converted_at', -30 * 86400) }}
        )
),

judged as (
    select
        *,
        bool_or(is_named) over (partition by conversion_id) as has_named
    from touches
),

placed as (
    select
        *,
        row_number() over (partition by conversion_id order by handed_over_at, send_id) as place,
        count(*) over (partition by conversion_id) as count_touches,
        min(days_before) over (partition by conversion_id) as last_days_before
    from judged
    where is_named or not has_named
),

weighed as (
    select
        p.*,
        m.model,
        case
            when m.model = 'first' then cast(p.place = 1 as double)
            when m.model = 'last' then cast(p.place = p.count_touches as double)
            when m.model = 'linear' then 1
            -- Half as much for every seven days, told from the last message so that nothing is too small to count.
            when m.model = 'time_decay' then power(0.5, (p.days_before - p.last_days_before) / 7)
            -- 40 % the first, 40 % the last, those between share the rest; of two each has half.
            when p.place in (1, p.count_touches) then 0.4
            else 0.2 / (p.count_touches - 2)
        end as weight
    from placed as p
    cross join models as m
),

shared as (
    select
        *,
        weight / sum(weight) over (partition by conversion_id, model) as share,
        sum(weight) over (partition by conversion_id, model order by place rows unbounded preceding)
        / sum(weight) over (partition by conversion_id, model) as share_so_far
    from weighed
),

-- Money is rounded as it adds up, so that the parts of an order are the order, to the last digit.
adding_up as (
    select
        c.conversion_id,
        m.model,
        c.goal_name,
        c.has_rate,
        s.send_id,
        s.sequence_id,
        s.step_id,
        s.channel,
        s.place,
        coalesce(s.share, 1) as share,
        case
            when coalesce(s.place = s.count_touches, true) then c.revenue
            else cast(c.revenue * s.share_so_far as decimal(18, 4))
        end as revenue_so_far
    from conversions as c
    cross join models as m
    left join shared as s on c.conversion_id = s.conversion_id and m.model = s.model
),

final as (
    select
        conversion_id,
        model,
        goal_name,
        has_rate,
        send_id,
        sequence_id,
        step_id,
        channel,
        share,
        revenue_so_far
        - coalesce(lag(revenue_so_far) over (partition by conversion_id, model order by place), 0) as revenue
    from adding_up
)

select * from final
