-- One row per step of a version, branches and ends included.
with source as (
    select * from {{ source('ledger', 'steps') }}
),

renamed as (
    select
        version_id,
        step_ix,
        step_id,
        kind,
        experiment_id
    from source
)

select * from renamed
