{# Time, in the words of the engine at hand: what another engine says differently stands here only. #}

{# Calendar date of an instant in a zone. #}
{% macro local_date(instant, zone) -%}
    cast(timezone({{ zone }}, {{ instant }}) as date)
{%- endmacro %}

{# Seconds from one instant to another, with fractions. #}
{% macro seconds_between(start, stop) -%}
    ((epoch_us({{ stop }}) - epoch_us({{ start }})) / 1e6)
{%- endmacro %}

{# Whole days from one date to another. #}
{% macro days_between(start, stop) -%}
    date_diff('day', {{ start }}, {{ stop }})
{%- endmacro %}

{# Monday of a date's week. #}
{% macro week_of(day) -%}
    cast(date_trunc('week', {{ day }}) as date)
{%- endmacro %}

{# An instant some seconds later. #}
{% macro add_seconds(instant, seconds) -%}
    ({{ instant }} + {{ seconds }} * interval '1' second)
{%- endmacro %}

{# A date some days later. #}
{% macro add_days(day, days) -%}
    cast({{ day }} + {{ days }} * interval '1' day as date)
{%- endmacro %}

{# A table of the integers from 0 to the last one, in one column. #}
{% macro integers(last, column) -%}
    select unnest(generate_series(0, {{ last }})) as {{ column }}
{%- endmacro %}

{# Weekday of an instant in a zone, 0 = Monday. #}
{% macro local_weekday(instant, zone) -%}
    (isodow(timezone({{ zone }}, {{ instant }})) - 1)
{%- endmacro %}

{# Hour of the wall clock of an instant in a zone, 0 to 23. #}
{% macro local_hour(instant, zone) -%}
    hour(timezone({{ zone }}, {{ instant }}))
{%- endmacro %}

{# The full hour before an instant, UTC. #}
{% macro hour_of(instant) -%}
    date_trunc('hour', {{ instant }})
{%- endmacro %}

{# One row per day from one date to another, both included. #}
{% macro days_from(first, last) -%}
    cast(unnest(generate_series({{ first }}, {{ last }}, interval '1' day)) as date)
{%- endmacro %}

{# One row per hour from one instant to another, both included. #}
{% macro hours_from(first, last) -%}
    unnest(generate_series({{ first }}, {{ last }}, interval '1' hour))
{%- endmacro %}

{# One row per week from one Monday to another, both included. #}
{% macro weeks_from(first, last) -%}
    cast(unnest(generate_series({{ first }}, {{ last }}, interval '7' day)) as date)
{%- endmacro %}
