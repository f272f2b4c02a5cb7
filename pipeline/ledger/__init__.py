"""What has happened: the ledger's tables, its short transactions and its lock.

Belongs here: `schema.sql`, opening, copying, locking. Does not: any rule of outreach (`engine`),
any reading for people (`warehouse`).
"""
