-- One row per kind of grouping (channel, sender, template, step, variant, sequence, campaign, tag) and group.
{# Kind of group: its name, and where it stands. #}
{% set groupings = {
    'channel': ('channel', []),
    'sender': ('sender', []),
    'template': ('template', []),
    'sequence': ('sequence_id', []),
    'step': ('step_id', ['sequence_id']),
    'variant': ('variant', ['sequence_id', 'step_id']),
    'campaign': ('campaign', []),
    'tag': ('tag', []),
} %}

with sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

attributed as (
    select * from {{ ref('int_attributed_sends') }}
),

sequences as (
    select * from {{ ref('stg_sequences') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

valued as (
    select
        s.*,
        {{ is_contact('s.channel') }} as is_contact,
        coalesce(a.conversions, 0) as conversions,
        coalesce(a.revenue, 0) as revenue
    from sends as s
    left join attributed as a on s.send_id = a.send_id
),

-- Small from here on: whatever can be added up, in the finest groups.
cells as (
    select
        sequence_id,
        step_id,
        variant,
        template,
        channel,
        sender,
        count(*) as count_sent,
        count(*) filter (where is_contact and was_delivered) as count_delivered,
        count(*) filter (where is_contact and was_delivered and was_opened) as count_opened,
        count(*) filter (where is_contact and was_delivered and was_clicked) as count_clicked,
        count(*) filter (where is_contact and was_delivered and was_replied) as count_replied,
        count(*) filter (where is_contact and was_delivered and was_unsubscribed) as count_unsubscribed,
        sum(conversions) as conversions,
        sum(revenue) as revenue,
        sum(cost) as cost,
        sum(revenue - cost) as profit,
        count(*) - count(cost) as count_without_price
    from valued
    group by sequence_id, step_id, variant, template, channel, sender
),

labelled as (
    select
        c.*,
        s.campaign,
        s.tags
    from cells as c
    left join sequences as s on c.sequence_id = s.sequence_id
),

tagged as (
    select
        l.*,
        t.tag
    from labelled as l
    cross join {{ elements('l.tags', 't', 'tag') }}
),

grouped as (
    {% for kind, (name, place) in groupings.items() %}
        select
            '{{ kind }}' as kind,
            {{ name }} as name,
            {{ 'sequence_id' if 'sequence_id' in place else 'cast(null as varchar)' }} as sequence_id,
            {{ 'step_id' if 'step_id' in place else 'cast(null as varchar)' }} as step_id,
            cast(sum(count_sent) as bigint) as count_sent,
            cast(sum(count_delivered) as bigint) as count_delivered,
            cast(sum(count_opened) as bigint) as count_opened,
            cast(sum(count_clicked) as bigint) as count_clicked,
            cast(sum(count_replied) as bigint) as count_replied,
            cast(sum(count_unsubscribed) as bigint) as count_unsubscribed,
            sum(conversions) as conversions,
            cast(sum(revenue) as decimal(18, 4)) as revenue,
            cast(coalesce(sum(cost), 0) as decimal(18, 4)) as cost,
            cast(sum(profit) as decimal(18, 4)) as profit,
            cast(sum(count_without_price) as bigint) as count_without_price
        from {{ 'tagged' if kind == 'tag' else 'labelled' }}
        where {{ name }} is not null
        group by {{ ([name] + place) | join(', ') }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

final as (
    select
        g.kind,
        g.name,
        g.sequence_id,
        g.step_id,
        g.count_sent,
        g.count_delivered,
        g.count_opened,
        g.count_clicked,
        g.count_replied,
        g.count_unsubscribed,
        w.attribution,
        g.conversions,
        g.revenue,
        g.cost,
        g.count_without_price,
        g.profit,
        {{ rate('g.count_opened', 'g.count_delivered') }} as open_rate_per_delivered,
        {{ rate('g.count_clicked', 'g.count_delivered') }} as click_rate_per_delivered,
        {{ rate('g.count_replied', 'g.count_delivered') }} as reply_rate_per_delivered,
        {{ rate('g.count_unsubscribed', 'g.count_delivered') }} as unsubscribe_rate_per_delivered,
        {{ rate('g.conversions', 'g.count_sent') }} as conversions_per_sent,
        {{ rate('g.revenue', 'g.count_sent') }} as revenue_per_sent,
        {{ rate('g.cost', 'g.count_sent - g.count_without_price') }} as cost_per_priced_message,
        case
            when g.count_without_price < g.count_sent then {{ rate('g.cost', 'g.conversions') }}
        end as cost_per_conversion
    from grouped as g
    cross join refresh as w
)

select * from final
