"""Commands of an operator: what runs, what waits, what ends.

Belongs here: arguments and printing. Does not: what a pause or an end means (`engine`).
"""

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, as_text, current_settings, print_json, say
from pipeline.settings import utc_now


@app.command()
def resume(enrollment_id: int, as_json: AsJson = False) -> None:
    """Resume a paused enrollment; its due time moves by the length of the pause."""
    from pipeline.engine.pauses import resume_enrollment

    due_at = resume_enrollment(current_settings(), enrollment_id, utc_now())
    if as_json:
        print_json({"enrollment_id": enrollment_id, "due_at": due_at})
        return
    say(f"Enrollment {enrollment_id} goes on; next step {as_text(due_at)} UTC.")
