"""What happens now: enroll, plan, assign, hand over, and tell why.

Belongs here: set-based statements over the ledger (`*.sql`) and the dispatcher. Does not: the
meaning of a YAML file (`sequences`), the text of a message (`messages`), numbers for people
(`warehouse`).
"""
