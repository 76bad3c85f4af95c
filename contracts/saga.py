"""What the orchestrator says to itself: a run's timer, and what an operator wants of a run."""

from typing import Literal
from uuid import UUID

from contracts.message import Local
from contracts.values import Reference


class RunOverdue(Local, topic="saga.run_overdue", heard_by="orchestrator"):
    """The timer of a run rang."""

    run_id: UUID


class OperateRun(Local, topic="saga.operate_run", heard_by="orchestrator"):
    """An operator's decision about a run: ask again now, take the pending steps as seen to by hand, or turn back."""

    run_id: UUID
    action: Literal["retry", "skip", "compensate"]
    operator: Reference
