{# Numbers, in the words of the engine at hand. #}

{# Interpolated percentile of a column in a group, share 0 to 1; nulls are left out. #}
{% macro percentile(column, share) -%}
    quantile_cont({{ column }}, {{ share }})
{%- endmacro %}
