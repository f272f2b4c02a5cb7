{# Parts of a JSON document, in the words of the engine at hand; keys are expressions. #}

{# The part under these keys, as JSON; null where there is none. #}
{% macro json_part(document) -%}
    ({{ document }}{% for key in varargs %} -> {{ key }}{% endfor %})
{%- endmacro %}

{# The part under these keys, as text. #}
{% macro json_text(document) -%}
    ({{ document }}{% for key in varargs[:-1] %} -> {{ key }}{% endfor %} ->> {{ varargs[-1] }})
{%- endmacro %}

{# The elements of the array under this key, a row each; none where there is no array. #}
{% macro json_elements(document, key) -%}
    unnest(cast({{ document }} -> {{ key }} as json[]))
{%- endmacro %}
