-- One row per experiment and metric.
with experiments as (
    select * from {{ ref('stg_experiments') }}
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

units as (
    select * from {{ ref('int_assigned_units') }}
),

unit_leads as (
    select * from {{ ref('int_unit_leads') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

sequence_goals as (
    select distinct
        e.experiment_id,
        v.goal_name
    from experiments as e
    inner join versions as v on e.sequence_id = v.sequence_id
    where v.goal_name is not null
),

-- Imported history may declare no goal: then every goal that its units reached.
reached_goals as (
    select distinct
        u.experiment_id,
        c.goal_name
    from unit_leads as u
    inner join conversions as c on u.lead_id = c.lead_id
    where c.goal_name is not null and u.experiment_id not in (select experiment_id from sequence_goals)
),

goals as (
    select * from sequence_goals
    union all
    select * from reached_goals
),

-- An imported test is registered after its end: what it brought itself is no history.
first_draws as (
    select
        e.experiment_id,
        min(u.assigned_at) as first_at
    from experiments as e
    inner join units as u on e.experiment_id = u.experiment_id
    where e.origin = 'import'
    group by e.experiment_id
),

begun as (
    select
        e.experiment_id,
        least(e.registered_at, d.first_at) as begun_at
    from experiments as e
    left join first_draws as d on e.experiment_id = d.experiment_id
),

-- What a lead paid in all before the test began: the cap is known beforehand, and the same for all arms.
payers as (
    select
        g.experiment_id,
        g.goal_name,
        c.lead_id,
        sum(cast(c.revenue as double)) as paid
    from goals as g
    inner join begun as b on g.experiment_id = b.experiment_id
    inner join conversions as c on g.goal_name = c.goal_name and c.converted_at < b.begun_at
    where c.revenue > 0
    group by g.experiment_id, g.goal_name, c.lead_id
),

caps as (
    select
        experiment_id,
        'revenue(' || goal_name || ')' as source,
        quantile_cont(paid, 0.99) as cap
    from payers
    group by experiment_id, goal_name
    having count(*) >= 100
),

fixed as (
    select
        experiment_id,
        unnest(['replied', 'clicked', 'unsubscribed', 'complained', 'bounced']) as metric
    from experiments
    union all
    -- Words change nothing before the message is sent: arms that lose leads on the way there are not comparable.
    select
        experiment_id,
        'unsent' as metric
    from experiments
    where varies = 'content' and origin = 'live'
),

named as (
    select
        experiment_id,
        metric
    from experiments
    union
    select
        experiment_id,
        metric
    from fixed
    union
    select
        experiment_id,
        'goal(' || goal_name || ')' as metric
    from goals
    union
    select
        experiment_id,
        'revenue(' || goal_name || ')' as metric
    from goals
),

plain as (
    select
        n.experiment_id,
        n.metric,
        n.metric as source,
        cast(null as double) as cap,
        -- Few large sums decide nothing: where the history gives a cap, the capped money decides.
        n.metric = e.metric and c.cap is null as is_primary
    from named as n
    inner join experiments as e on n.experiment_id = e.experiment_id
    left join caps as c on n.experiment_id = c.experiment_id and n.metric = c.source
),

capped as (
    select
        c.experiment_id,
        'capped_' || c.source as metric,
        c.source,
        c.cap,
        c.source = e.metric as is_primary
    from caps as c
    inner join experiments as e on c.experiment_id = e.experiment_id
),

final as (
    select * from plain
    union all
    select * from capped
)

select * from final
