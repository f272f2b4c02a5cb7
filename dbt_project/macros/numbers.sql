{# Numbers, in the words of the engine at hand. #}

{# Interpolated percentile of a column in a group, share 0 to 1; nulls are left out. #}
{% macro percentile(column, share) -%}
    quantile_cont({{ column }}, {{ share }})
{%- endmacro %}

{# Low end of the 95 % interval of a share, 0 to 1: Wilson's with continuity correction, for few messages and rare events (Newcombe 1998). #}
{% macro least_share(numerator, denominator) -%}
    case
        when {{ numerator }} = 0 then 0
        else (
            2 * {{ numerator }} + 2.841459
            - 1.959964 * sqrt(
                1.841459 - 1.0 / {{ denominator }}
                + 4.0 * {{ numerator }} / {{ denominator }} * ({{ denominator }} - {{ numerator }} + 1)
            )
        ) / (2 * ({{ denominator }} + 3.841459))
    end
{%- endmacro %}
