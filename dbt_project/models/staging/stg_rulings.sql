-- One row per experiment of which a person ruled something; the last ruling of each kind holds.
with source as (
    select * from {{ source('ledger', 'operator_acts') }}
    where scope = 'experiment'
),

declarations as (
    select
        name,
        act,
        result,
        acted_at,
        row_number() over (partition by name order by acted_at desc) as nth
    from source
    where act in ('declared', 'undeclared')
),

pauses as (
    select
        name,
        act,
        acted_at,
        row_number() over (partition by name order by acted_at desc) as nth
    from source
    where act in ('paused', 'resumed')
),

renamed as (
    select
        coalesce(d.name, p.name) as experiment_id,
        case when d.act = 'declared' then d.result end as declared_arm,
        case when d.act = 'declared' then d.acted_at end as declared_at,
        case when p.act = 'paused' then p.acted_at end as paused_at
    from (select * from declarations where nth = 1) as d
    full join (select * from pauses where nth = 1) as p on d.name = p.name
)

select * from renamed
