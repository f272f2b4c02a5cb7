{# Fails with every row for which one of the expressions is not true: arithmetic that must hold. #}
{% test holds(model, expressions) %}
    select *
    from {{ model }}
    where
        {%- for expression in expressions %}
            {{ 'or ' if not loop.first }}not coalesce({{ expression }}, false)
        {%- endfor %}
{% endtest %}

{# Fails with every row that has null in one of the columns: one test instead of one per column. #}
{% test never_null(model, columns) %}
    select *
    from {{ model }}
    where {% for column in columns %}{{ 'or ' if not loop.first }}{{ column }} is null {% endfor %}
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

{# All three in one pass over a small model: each test costs every refresh some time, whatever it reads. #}
{% test sound(model, key, columns, expressions=[]) %}
    select *
    from (
        select
            *,
            count(*) over (partition by {{ key | join(', ') }}) as count_of_key
        from {{ model }}
    ) as counted
    where
        count_of_key > 1
        {%- for column in columns %}
            or {{ column }} is null
        {%- endfor %}
        {%- for expression in expressions %}
            or not coalesce({{ expression }}, false)
        {%- endfor %}
{% endtest %}
