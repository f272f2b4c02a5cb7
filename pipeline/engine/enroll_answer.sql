-- Answers the requests of those who entered. In: temp table `entered`.

update commands set
    decided_at = $now,
    outcome = 'enrolled',
    enrollment_id = e.enrollment_id
from entered as e
where commands.command_id = e.command_id;

update enrollment_contexts set enrollment_id = e.enrollment_id
from entered as e
where enrollment_contexts.command_id = e.command_id;
