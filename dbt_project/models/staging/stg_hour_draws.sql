-- One row per message for which a block of its day was drawn.
with source as (
    select * from {{ source('ledger', 'hour_draws') }}
),

renamed as (
    select
        enrollment_id,
        version_id,
        step_ix,
        drawn_at,
        slot_at,
        local_on,
        block,
        propensity,
        scored_at
    from source
)

select * from renamed
