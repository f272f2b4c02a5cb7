{# Fails with every row for which the expression is not true: arithmetic that must hold. #}
{% test holds(model, expression) %}
    select *
    from {{ model }}
    where not coalesce({{ expression }}, false)
{% endtest %}

{# Fails with every combination of the columns that has more than one row: the grain. #}
{% test unique_together(model, columns) %}
    select
        {{ columns | join(', ') }},
        count(*) as count_rows
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}

{# Fails when model and source have different numbers of rows: nothing lost, nothing doubled. #}
{% test same_count_as(model, table) %}
    select *
    from (
        select
            (select count(*) from {{ model }}) as count_here,
            (select count(*) from {{ source('ledger', table) }}) as count_ledger
    )
    where count_here <> count_ledger
{% endtest %}
