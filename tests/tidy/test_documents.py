"""What the documents tell a reader to type exists, links lead somewhere, and no file names one developer's machine."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import typer.main

from services.__main__ import app
from tests.support.processes import ROOT

CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
# Written in two parts, so that this file does not name them itself.
MACHINE = re.compile("|".join(("/" + r"work/(main|shared)\b", r"\.\./" + "shared", "docker-" + "here", "/" + "root/")))
GENERATED = {"uv.lock"}


@cache
def committed() -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def documents() -> list[Path]:
    return [path for path in committed() if path.suffix == ".md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def typed(document: Path, program: str) -> set[str]:
    """The first word after `program` in every code span and block: `oms demo --json` -> demo."""
    text = document.read_text()
    spans = [block or span for block, span in CODE.findall(text)]
    pattern = re.compile(rf"(?:^|[\s/]){program} +([a-z][a-z-]*)", re.MULTILINE)
    return {word for span in spans for word in pattern.findall(span)}


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_every_make_target_in_a_document_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert typed(document, "make") <= targets


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_every_oms_command_in_a_document_exists(document: Path) -> None:
    group = typer.main.get_command(app)
    known = set(group.list_commands(typer.Context(group)))  # type: ignore[attr-defined]  # those imported when asked for too
    assert known
    assert typed(document, "oms") | typed(document, "python -m services") <= known


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_every_link_between_files_leads_somewhere(document: Path) -> None:
    missing = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert missing == []


def test_the_makefile_is_the_list_its_help_prints() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    assert {"demo", "test", "lint", "bench", "soak", "up", "down", "contracts", "chaos", "help"} <= targets
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == targets


def test_no_file_names_one_developers_machine() -> None:
    looked_at = [path for path in committed() if name_of(path) not in GENERATED]
    named = {}
    for path in looked_at:
        try:
            found = sorted({match.group(0) for match in MACHINE.finditer(path.read_text())})
        except UnicodeDecodeError:
            continue
        if found:
            named[name_of(path)] = found
    assert len(looked_at) > 50
    assert named == {}


def test_compose_holds_no_secret_and_opens_nothing_to_the_network() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"(?:_PASSWORD|_PASS|_SECRET): *(\S.*)", compose)
    assert len(secrets) >= 10
    assert [value for value in secrets if not value.startswith("${")] == []
    published = re.findall(r'"([^"\n]*\}:\d+)"', compose)  # each host port is a variable with a default
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)
