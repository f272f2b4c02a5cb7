-- One row per rate with a target.
with source as (
    select * from {{ source('meta', 'targets') }}
),

renamed as (
    select
        metric,
        target,
        is_floor
    from source
)

select * from renamed
