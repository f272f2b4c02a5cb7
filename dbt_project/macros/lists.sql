{# Lists and documents, in the words of the engine at hand. #}

{# A table of the elements of a list of the row beside it, in one column. #}
{% macro elements(list, table, column) -%}
    unnest({{ list }}) as {{ table }} ({{ column }})
{%- endmacro %}
