"""The published warehouse: built anew from a copy of the ledger, audited, replaced by rename.

Belongs here: copy, build, audit, publish, read. Does not: SQL of models (`dbt_project`), statistics
(`analysis`), the order in which a refresh calls them (`analysis.refresh`).
"""
