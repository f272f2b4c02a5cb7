"""What is said: from a step's stored content and a lead to the bytes of one message.

Belongs here: templates, Markdown, tracked links, what the law asks for, MIME, previews.
Does not: when and to whom (engine), how it travels (channels), what comes back (inbound).
"""
