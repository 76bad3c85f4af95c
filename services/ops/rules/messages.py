"""Messages: nothing waits to be said, nothing overdue, nothing set aside that nobody expects."""

from typing import Final

from services.ops.rules.rule import Rule, over_schemas

MESSAGES: Final = (
    Rule(
        "nothing waits to be said",
        "every outbox is empty",
        over_schemas(
            """SELECT '{s}'::text AS subject, count(*) = 0 AS holds,
                      format('%s messages, the oldest of %s', count(*), min(created_at)) AS found FROM {s}.outbox"""
        ),
        settled=True,
    ),
    Rule(
        "nothing is overdue",
        "timers have rung, and no message waits to be tried again",
        over_schemas(
            """SELECT '{s}'::text AS subject, count(*) = 0 AS holds,
                      format('%s, first %s', count(*), min(concat_ws(' ', head ->> 'type', name, error))) AS found
               FROM {s}.due WHERE error <> '' OR not_before < now() - interval '5 seconds'"""
        ),
        settled=True,
    ),
    Rule(
        "nothing is parked unexpectedly",
        "set aside for a person are only the messages this run expects",
        f"""SELECT p.place || ' ' || p.id::text AS subject, p.n <= coalesce(e.messages, 0) AS holds,
                  format('%s: %s', p.reason, left(p.error, 120)) AS found
           FROM (SELECT *, row_number() OVER (PARTITION BY reason ORDER BY id) AS n FROM ({
            over_schemas("SELECT '{s}'::text AS place, id, reason, error FROM {s}.parked WHERE state = 'parked'")
        }) AS every) AS p LEFT JOIN expected_parked e ON e.reason = p.reason""",
    ),
)
