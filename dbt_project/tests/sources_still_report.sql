-- Whoever told of events on ten days or more of the last eight weeks has not been silent for twice its longest silence:
-- a warning, a webhook may be broken or a key have run out. A source that rests on weekends is silent from Friday to Monday.
{{ config(severity = 'warn') }}
-- The table beside which Dagster shows it; depends_on: {{ ref('daily_metrics') }}

with events as (
    select * from {{ ref('stg_events') }}
    where origin = 'live' and source <> 'operator'
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

days as (
    select distinct
        e.source,
        {{ local_date('e.received_at', 'w.timezone') }} as received_on,
        w.refreshed_on
    from events as e
    cross join refresh as w
    where e.received_at >= {{ add_seconds('w.refreshed_at', -56 * 86400) }}
),

silences as (
    select
        *,
        lag(received_on) over (partition by source order by received_on) as before_on
    from days
),

sources as (
    select
        source,
        count(*) as count_days,
        max(received_on) as last_received_on,
        max({{ days_between('before_on', 'received_on') }}) as longest_silent_days,
        {{ days_between('max(received_on)', 'max(refreshed_on)') }} as silent_days
    from silences
    group by source
)

select *
from sources
where count_days >= 10 and silent_days > 2 * longest_silent_days
