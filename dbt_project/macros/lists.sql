{# Lists and documents, in the words of the engine at hand. #}

{# A table of the elements of a list of the row beside it, in one column. #}
{% macro elements(list, table, column) -%}
    unnest({{ list }}) as {{ table }} ({{ column }})
{%- endmacro %}

{# The names that a JSON document has, as a list. #}
{% macro document_keys(document) -%}
    json_keys({{ document }})
{%- endmacro %}

{# What a JSON document has under a name, as text; null without it. #}
{% macro document_text(document, name) -%}
    ({{ document }} ->> {{ name }})
{%- endmacro %}
