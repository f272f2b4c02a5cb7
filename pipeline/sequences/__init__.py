"""What should happen: the files a person writes, checked and compiled for the engine.

Belongs here: YAML, its model, conditions, calendars, versions. Does not: what has happened
(`ledger`), how a message is rendered (`messages`), when a step is claimed (`engine`).
"""
