"""Driplab: drip sequences that run out of DuckDB files and know what works.

Each package below is one room of the house; it imports only from the rooms before it in
`tests/test_architecture.py`. Nothing is re-exported here.
"""
