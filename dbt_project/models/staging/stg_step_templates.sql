-- One row per version, step and arm with words of its own, whose body comes from a file.
with source as (
    select * from {{ source('ledger', 'step_templates') }}
),

renamed as (
    select
        version_id,
        step_ix,
        arm,
        template
    from source
)

select * from renamed
