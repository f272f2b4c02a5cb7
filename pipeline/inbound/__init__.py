"""What comes back: requests become landing lines, landing lines become rows of the ledger.

Belongs here: server, landing, signatures, provider mapping, imports, ingest, humans or machines.
Does not: what follows from an event (engine), how messages leave (channels).
"""
