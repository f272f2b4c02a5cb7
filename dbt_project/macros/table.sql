{# A table of a refresh: its file began empty, so nothing has to be moved aside, and what fails is thrown away whole.
   dbt's own way asks for old relations, builds under another name, and describes every query twice before it runs. #}
{% materialization table, adapter='duckdb' %}
    {%- set table = this.incorporate(type='table') -%}
    {%- call statement('main') -%}
        create table {{ table }} as (
            {{ sql }}
        )
    {%- endcall -%}
    {%- if config.get('contract').enforced -%}
        {%- do hold_contract(table, sql) -%}
    {%- endif -%}
    {{ return({'relations': [table]}) }}
{% endmaterialization %}

{# Fails where a table's columns are not those of its description: in name, type and order. #}
{% macro hold_contract(table, sql) -%}
    {%- set declared = [] -%}
    {%- for column in model.columns.values() -%}
        {%- set type = column.data_type | upper | replace('TIMESTAMPTZ', 'TIMESTAMP WITH TIME ZONE') -%}
        {%- do declared.append(column.name ~ ' ' ~ type) -%}
    {%- endfor -%}
    {%- set built = [] -%}
    {%- for column in adapter.get_column_schema_from_query('from ' ~ table) -%}
        {%- do built.append(column.name ~ ' ' ~ column.dtype) -%}
    {%- endfor -%}
    {%- if built != declared -%}
        {# dbt's own look says which columns differ; it is content with another order and another spelling of a type. #}
        {%- do get_assert_columns_equivalent(sql) -%}
        {%- do exceptions.raise_compiler_error(
            'The columns of ' ~ model.name ~ ' stand in another order than their descriptions: ' ~ built | join(', ')
        ) -%}
    {%- endif -%}
{%- endmacro %}
