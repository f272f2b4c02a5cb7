-- In: temp tables `candidates`, `assigned`, `arm_range`. The sender is known before limits count for it.

update candidates
set sender = r.sender
from assigned as a, arm_range as r
where
    candidates.enrollment_id = a.enrollment_id
    and candidates.version_id = r.version_id
    and candidates.step_ix = r.step_ix
    and candidates.varies = 'content'
    and a.arm = r.arm
    and r.sender is not null;
