-- One row per version of a sequence.
with source as (
    select * from {{ source('ledger', 'sequence_versions') }}
),

renamed as (
    select
        version_id,
        sequence_id,
        version,
        goal_name,
        goal_within_seconds,
        registered_at,
        origin,
        definition
    from source
)

select * from renamed
