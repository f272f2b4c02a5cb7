-- One row per mart that has other rows than the ledger had: none in a good file.
with marts as (
    select 'leads' as ledger_table, count(*) as count_rows from marts.leads
    union all
    select 'enrollments', count(*) from marts.enrollments
    union all
    select 'sends', count(*) from marts.sends
    union all
    select 'experiments', count(*) from marts.experiments
)

select
    l.ledger_table,
    l.count_rows as count_ledger,
    m.count_rows as count_mart
from meta.ledger_rows as l
left join marts as m on l.ledger_table = m.ledger_table
where m.count_rows is distinct from l.count_rows;
