"""What every service says of a message itself, and what is said of a run."""

from typing import Final

from contracts.examples.facts import RUN
from contracts.frame import CommandWithdrawn, KeyReused
from contracts.message import Message
from contracts.saga import OperateRun, RunOverdue

MESSAGES: Final[tuple[Message, ...]] = (
    CommandWithdrawn(),
    KeyReused(),
    RunOverdue(run_id=RUN),
    OperateRun(run_id=RUN, action="retry", operator="ops@example.com"),
)
