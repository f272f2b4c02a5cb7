"""A market with known truth, driven by a virtual clock through the real ring.

Belongs here: how people behave, a mail server for them, the loop, what was found against the truth.
Does not: anything that the ring itself does; the market knows only the mails that it got.
"""
