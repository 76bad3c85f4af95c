"""The AsyncAPI document is judged by AsyncAPI's own parser, and says of the broker what the topology declares.

The parser is an npm package, pinned and installed beside this file on first use. Without Node.js the test is skipped by
name, the structural tests below still run; with Node.js it never is.
"""

import copy
import fcntl
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.asyncapi import document
from contracts.catalogue import COMMANDS, DOORS, EVENTS, LISTENER_QUEUE, MAX_BODY_BYTES, STOREFRONTS, WAREHOUSES
from contracts.generate import GENERATED
from shared import topology
from shared.envelope import MAX_BODY_BYTES as READ_BYTES

HERE = Path(__file__).parent / "asyncapi"
NODE, NPM = shutil.which("node"), shutil.which("npm")
INSTALL_S, PARSE_S = 300, 120
ERROR, WARNING = 0, 1


@pytest.fixture(scope="module")
def parser() -> Path:
    """Installs the pinned parser once; two test processes wait for each other."""
    if NODE is None or NPM is None:
        pytest.skip("no Node.js here: the AsyncAPI parser cannot run")
    modules = HERE / "node_modules"
    with (Path(tempfile.gettempdir()) / "waybill-asyncapi-check.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pinned = json.loads((HERE / "package.json").read_text())["dependencies"]["@asyncapi/parser"]
        installed = modules / "@asyncapi" / "parser" / "package.json"
        if not installed.exists() or json.loads(installed.read_text())["version"] != pinned:
            command = [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            assert done.returncode == 0, f"npm ci failed:\n{done.stderr[-2000:]}"
    return HERE / "validate.js"


def judged(parser: Path, path: Path) -> dict[str, Any]:
    assert NODE is not None
    done = subprocess.run([NODE, parser, path], capture_output=True, text=True, timeout=PARSE_S, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_parser_accepts_the_document(parser: Path) -> None:
    verdict = judged(parser, GENERATED / "asyncapi.json")
    serious = [found for found in verdict["diagnostics"] if found["severity"] in (ERROR, WARNING)]
    assert verdict["parsed"] and serious == []
    assert verdict["messages"] == len(document()["components"]["messages"])
    assert verdict["operations"] == len(document()["operations"])


def test_the_parser_would_say_so(parser: Path, tmp_path: Path) -> None:
    broken = copy.deepcopy(document())
    del broken["operations"]["placeCheckout"]["channel"]
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken))
    assert not judged(parser, path)["parsed"]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    for reference in set(references(whole)):
        place: Any = whole
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


def test_the_document_and_the_broker_agree() -> None:
    declared = topology.definitions("/", dict.fromkeys(topology.users(), "-"))
    exchanges = {exchange["name"]: exchange["type"] for exchange in declared["exchanges"]}
    assert {name: exchanges[name] for name in (COMMANDS, STOREFRONTS, WAREHOUSES, EVENTS)} == {
        COMMANDS: "direct",
        STOREFRONTS: "direct",
        WAREHOUSES: "direct",
        EVENTS: "topic",
    }
    bound = {(binding["source"], binding["routing_key"], binding["destination"]) for binding in declared["bindings"]}
    assert {(door.exchange, door.key, queue) for queue, door in DOORS.items()} <= bound
    assert set(DOORS) == {queue.name for queue in topology.QUEUES}
    assert LISTENER_QUEUE.format(storefront="demo-shop") == topology.listener_queue("demo-shop")
    assert (EVENTS, "demo-shop.#", topology.listener_queue("demo-shop")) in bound
    assert MAX_BODY_BYTES == READ_BYTES


def test_a_storefront_finds_everything_it_needs() -> None:
    whole = document()
    place = whole["operations"]["placeCheckout"]
    channel = whole["channels"][place["channel"]["$ref"].rpartition("/")[2]]
    assert channel["address"] == "storefront.requests"
    assert channel["bindings"]["amqp"]["exchange"]["name"] == "waybill.storefront"
    assert place["bindings"]["amqp"]["deliveryMode"] == 2
    answers = [reference["$ref"].rpartition("/")[2] for reference in place["reply"]["messages"]]
    assert answers == ["CheckoutAccepted", "CheckoutRefused", "MessageRefused"]
    assert place["reply"]["channel"]["$ref"] == "#/channels/storefrontEvents"
    for word in ("user_id", "delivery_mode", "content_type", "cloudEvents:", "256 KiB", "sequence", "forged_source"):
        assert word in whole["info"]["description"]
    required = whole["components"]["schemas"]["RequestHeaders"]["required"]
    assert required == [f"cloudEvents:{name}" for name in ("specversion", "id", "source", "type")]
