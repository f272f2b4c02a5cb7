"""The drip command as `python -m pipeline.cli`.

Belongs here: starting it. Does not: anything else.
"""

from pipeline.cli import main

main()
