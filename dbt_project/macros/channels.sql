{# What each channel is to the lead. #}

{# True where a person is reached: not the tasks of colleagues, nor requests to a machine (rules.md R10). #}
{% macro is_contact(channel) -%}
    ({{ channel }} not in ('task', 'linkedin', 'webhook'))
{%- endmacro %}

{# True for a written message that can be answered and can come back. #}
{% macro is_message(channel) -%}
    ({{ channel }} in ('email', 'sms', 'whatsapp'))
{%- endmacro %}

{# True where the words are a body, which comes from a template file. #}
{% macro has_body(channel) -%}
    ({{ channel }} = 'email')
{%- endmacro %}
