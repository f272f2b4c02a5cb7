{# Writes this run's id beside the refresh it belongs to; nothing when only parsing. #}
{% macro record_invocation() -%}
    {% if execute and flags.WHICH in ['build', 'run'] -%}
        update {{ source('meta', 'refresh') }} set invocation_id = '{{ invocation_id }}'
    {%- else -%}
        select 1
    {%- endif %}
{%- endmacro %}
