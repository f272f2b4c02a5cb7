"""How it travels: SMTP, HTTP, Maildir.

Belongs here: handing one finished message over, and saying what became of it.
Does not: what the message says (messages), when it goes, its journal and its retries (engine).
"""
