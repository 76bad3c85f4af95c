"""`make up` writes the passwords that docker-compose.yml asks for, and never changes one that is there."""

import re
import subprocess
from pathlib import Path

from tests.support.processes import ROOT


def made(folder: Path) -> dict[str, str]:
    subprocess.run(
        ["make", "-s", "-f", ROOT / "Makefile", ".env"], cwd=folder, capture_output=True, timeout=30, check=True
    )
    written = folder / ".env"
    assert written.stat().st_mode & 0o077 == 0
    lines = written.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert len(found) == len(lines)
    return found


def test_every_password_the_containers_ask_for_is_written(tmp_path: Path) -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    found = made(tmp_path)
    assert found.keys() == asked | {"STOREFRONT_AMQP_URL"}
    assert f":{found['DEMO_SHOP_PASSWORD']}@" in found["STOREFRONT_AMQP_URL"]


def test_an_older_file_keeps_its_passwords_and_gets_those_it_lacks(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("ORDER_PASSWORD=old\nWAYBILL_AMQP_PORT=5000")
    found = made(tmp_path)
    assert (found["ORDER_PASSWORD"], found["WAYBILL_AMQP_PORT"]) == ("old", "5000")
    assert found["STOCK_SOURCE_PASSWORD"]
    assert made(tmp_path) == found
