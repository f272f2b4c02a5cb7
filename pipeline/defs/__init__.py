"""Dagster and nothing else: assets, jobs, sensors, schedules, and what starts them together.

Belongs here: one module per asset group, automation, the instance. Does not: domain logic. An asset
reads, calls one function of a room, and reports row counts.
"""
