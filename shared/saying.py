"""What is said: a decision's word as a row of the outbox."""

from datetime import datetime

from contracts.message import Kind, Message
from shared.consumer import Answer, Ask, Publish, Said, reply_queue, subject_of
from shared.envelope import Envelope, head_of
from shared.ids import NewId
from shared.store import OutboxRow


def outbox_row(item: Said, cause: Envelope, source: str, new_id: NewId, now: datetime) -> OutboxRow:
    """What a decision said because of `cause`, as the row that will be published."""
    message: Message
    key, public = cause.command_key, False
    sequence: int | None = None
    match item:
        case Ask(command, command_key):
            message, key, destination = command, command_key, command.heard_by
        case Answer(command_key, reply):
            message, key, destination = reply, command_key, reply_queue(command_key)
        case Publish(storefront, event):
            message, key, public, destination = event, None, True, f"{storefront}.{event.topic}"
            sequence = item.sequence
        case _:
            message = item
            if item.kind is Kind.REPLY:
                if key is None:
                    raise TypeError(f"{item.topic} answers a message without a command key")
                destination = reply_queue(key)
            else:
                key, destination = None, item.heard_by
    id_ = (item.again if isinstance(item, Publish) else None) or new_id()
    subject = subject_of(message) if message.kind is not Kind.REPLY else (cause.subject or subject_of(message))
    head = head_of(
        message,
        id_=id_,
        source=source,
        subject=subject,
        now=now,
        cause=cause.head,
        command_key=key,
        sequence=sequence,
    )
    return OutboxRow(id_, subject, destination, public, head, message.model_dump_json())
