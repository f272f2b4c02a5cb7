"""From aggregates to decisions and advice: pure functions on frames and numbers.

Belongs here: statistics and the words that explain them. Does not: counting (dbt models),
storing looks (ledger), acting on a winner (engine). Only `tables` reads and writes the warehouse.
"""
