-- The latest complete day is like the same weekday of up to eight weeks before (four at least): a warning, facts may change.
-- Told is what is less than half of the least or more than twice the most of those days, and not by chance (Poisson).
{% set volumes = ['enrolled', 'sent', 'replied', 'converted'] %}
{% set rates = {
    'undelivered': 'count_sent - count_delivered',
    'clicked': 'count_clicked',
    'bounced': 'count_bounced',
    'complained': 'count_complained',
    'unsubscribed': 'count_unsubscribed',
} %}
{{ config(severity = 'warn') }}

with metrics as (
    select * from {{ ref('daily_metrics') }}
    where is_complete
),

-- Volumes by the day on which they happened; shares of messages by the day of the message, seven days later.
days as (
    {% for volume in volumes %}
        select
            '{{ volume }}' as what,
            metric_on,
            sum(count_{{ volume }}) as amount,
            cast(1 as hugeint) as basis
        from metrics
        where counted_by = 'event_time'
        group by metric_on
        union all
    {% endfor %}
    {% for what, amount in rates.items() %}
        select
            '{{ what }} of sent' as what,
            metric_on,
            sum({{ amount }}) as amount,
            sum(count_sent) as basis
        from metrics
        where counted_by = 'send_cohort'
        group by metric_on
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

ranked as (
    select
        *,
        max(metric_on) over (partition by what) as latest_on
    from days
),

latest as (
    select * from ranked
    where metric_on = latest_on
),

before as (
    select
        what,
        count(*) as count_days,
        min({{ rate('amount', 'basis') }}) as least,
        max({{ rate('amount', 'basis') }}) as most,
        {{ rate('sum(amount)', 'sum(basis)') }} as usual
    from ranked
    where
        metric_on < latest_on
        and {{ days_between('metric_on', 'latest_on') }} % 7 = 0
        and {{ days_between('metric_on', 'latest_on') }} <= 56
    group by what
),

compared as (
    select
        l.what,
        l.metric_on,
        l.amount as seen,
        b.usual * l.basis as expected,
        b.least * l.basis as least,
        b.most * l.basis as most
    from latest as l
    inner join before as b on l.what = b.what
    where b.count_days >= 4
)

select * from compared
where
    (2 * seen < least or seen > 2 * most)
    and abs(seen - expected) > 4 * sqrt(greatest(expected, 1))
