-- One row per sequence file that ever was.
with source as (
    select * from {{ source('ledger', 'sequences') }}
),

renamed as (
    select
        sequence_id,
        campaign,
        tags
    from source
)

select * from renamed
