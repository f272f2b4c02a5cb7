-- One row per message that has part of a conversion by the model of attribution that workspace.yml chooses.
with credits as (
    select * from {{ ref('int_credits') }}
    where send_id is not null
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

final as (
    select
        c.send_id,
        sum(c.share) as conversions,
        cast(coalesce(sum(c.revenue), 0) as decimal(18, 4)) as revenue
    from credits as c
    inner join refresh as w on c.model = w.attribution
    group by c.send_id
)

select * from final
