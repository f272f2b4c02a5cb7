-- Rows of the ledger's tables that a tick writes to: one row.
select
    (select count(*) from leads) as leads,
    (select count(*) from events) as events,
    (select count(*) from enrollments) as enrollments,
    (select count(*) from sends) as sends;
