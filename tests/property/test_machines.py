"""Every machine of every service keeps its own table, and any table at all is kept: nothing moves that has no row."""

import importlib
import pkgutil
import re
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services
from shared.machine import Already, BadMachine, IllegalMove, Machine, Moved, Refused
from shared.schema import transition_trigger


class Light(StrEnum):
    OFF = "off"
    DIM = "dim"
    BRIGHT = "bright"
    BROKEN = "broken"


def declared() -> list[tuple[Any, str, str, Machine[Any]]]:
    """(tables module, table, column, machine) of every service that has tables."""
    found = []
    for service in pkgutil.iter_modules(services.__path__, "services."):
        if not service.ispkg:
            continue
        rooms = importlib.import_module(service.name).__path__
        if any(room.name == "tables" for room in pkgutil.iter_modules(rooms)):
            tables = importlib.import_module(f"{service.name}.tables")
            found += [(tables, *machine) for machine in tables.MACHINES]
    return found


DECLARED = declared()
each_machine = pytest.mark.parametrize(
    ("tables", "table", "column", "machine"), DECLARED, ids=[f"{row[0].SCHEMA}.{row[1]}.{row[2]}" for row in DECLARED]
)


def test_every_service_with_a_life_to_keep_is_here() -> None:
    schemas = {tables.SCHEMA for tables, *_ in DECLARED}
    assert {"orders", "inventory", "payments", "fulfillment", "sagas"} <= schemas, schemas


# -- of every service --------------------------------------------------------------------------------------------------


@each_machine
def test_its_table_has_the_column_and_the_rows_type_is_the_machines(
    tables: Any, table: str, column: str, machine: Machine[Any]
) -> None:
    (kept,) = [known for known in tables.TABLES if known.name == table]
    assert kept.enums()[column] is machine.states
    assert "version" in kept.columns, "a thing with a life is moved by compare-and-set"


@each_machine
def test_the_check_in_sql_names_exactly_its_states(tables: Any, table: str, column: str, machine: Machine[Any]) -> None:
    (kept,) = [known for known in tables.TABLES if known.name == table]
    (check,) = [one for one in kept.sql.constraints if str(one.name).endswith(f"{column}_is_declared")]
    assert set(re.findall(r"'([^']*)'", str(check.sqltext))) == {state.value for state in machine.states}


@each_machine
def test_the_trigger_knows_exactly_its_moves_and_its_births(
    tables: Any, table: str, column: str, machine: Machine[Any]
) -> None:
    (rows,) = [one for one in transition_trigger(tables.SCHEMA, table, column, machine) if one.startswith("INSERT")]
    written = set(re.findall(r"\('([^']*)', '([^']*)'\)", rows))
    moves = {(origin.value, to.value) for origin, _, to in machine.moves}
    assert written == moves | {("", state.value) for state in machine.start}


@each_machine
def test_the_diagram_draws_every_move(tables: Any, table: str, column: str, machine: Machine[Any]) -> None:
    lines = machine.mermaid().splitlines()[1:]
    drawn = {tuple(re.split(r" --> |: ", line.strip())) for line in lines}
    assert drawn == {
        *((origin.value, to.value, on) for origin, on, to in machine.moves),
        *(("[*]", state.value) for state in machine.start),
        *((state.value, "[*]") for state in machine.states if state in machine.final),
    }


@each_machine
@given(data=st.data())
def test_any_life_stays_in_the_table(
    data: st.DataObject, tables: Any, table: str, column: str, machine: Machine[Any]
) -> None:
    """Whatever is asked of it, in any order, from any birth: each answer is what the table says."""
    words = st.sampled_from([*sorted({on for _, on, _ in machine.moves}), "something nobody declared"])
    at = data.draw(st.sampled_from(machine.start))
    for on in data.draw(st.lists(words, max_size=30)):
        at = follow(machine, at, on)


def follow(machine: Machine[Any], at: Any, on: str) -> Any:
    """One step, compared with the rows themselves."""
    leads = [to for origin, word, to in machine.moves if (origin, word) == (at, on)]
    leads_here = any(word == on and to == at for _, word, to in machine.moves)
    outcome = machine.move(at, on)
    match outcome:
        case Moved(to):
            assert leads == [to]
            assert machine.to(at, on) is to
            assert (at, to) in machine.pairs
            assert at not in machine.final
            return to
        case Already(still):
            assert leads == []
            assert leads_here
            assert still is at
        case Refused(still, asked):
            assert leads == []
            assert not leads_here
            assert (still, asked) == (at, on)
            assert str(outcome) == f"{on} is not possible in state {at}"
    with pytest.raises(IllegalMove):
        machine.to(at, on)
    return at


# -- of any table ------------------------------------------------------------------------------------------------------

row = st.tuples(st.sampled_from(Light), st.sampled_from(("up", "down", "hit")), st.sampled_from(Light))
rows = st.one_of(
    st.lists(row, max_size=8),
    st.lists(row, min_size=6, max_size=12, unique_by=lambda row: row[:2]),  # often sound
)


@given(start=st.sampled_from(Light), moves=rows, asked=st.lists(st.sampled_from(("up", "down", "hit")), max_size=20))
def test_a_table_is_refused_at_import_or_kept(
    start: Light, moves: list[tuple[Light, str, Light]], asked: list[str]
) -> None:
    twice = len({(origin, on) for origin, on, _ in moves}) < len(moves)
    reached = {start}
    for _ in Light:
        reached |= {to for origin, _, to in moves if origin in reached}
    sound = not twice and reached == set(Light)
    try:
        machine = Machine("light", Light, start, moves)
    except BadMachine:
        assert not sound
        return
    assert sound
    at = start
    for on in asked:
        at = follow(machine, at, on)


def test_a_bad_table_says_which_row() -> None:
    up = (Light.OFF, "up", Light.DIM)
    with pytest.raises(BadMachine, match="off --up--> is there twice"):
        Machine("light", Light, Light.OFF, [up, (Light.OFF, "up", Light.BRIGHT)])
    with pytest.raises(BadMachine, match="nothing leads to bright, broken"):
        Machine("light", Light, Light.OFF, [up])
