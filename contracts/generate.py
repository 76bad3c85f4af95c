"""What can be generated is generated, committed and verified: JSON Schemas and the AsyncAPI document.

``python -m contracts.generate`` writes, ``--check`` only says what differs, ``--release`` also keeps today's schemas as
released: from then on they may only change compatibly (`contracts/compatibility.py`).
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from contracts.asyncapi import document
from contracts.catalogue import border_of, messages
from contracts.compatibility import breaks
from contracts.schemas import schema_of

HERE: Final = Path(__file__).parent
GENERATED: Final = HERE / "generated"
RELEASED: Final = HERE / "released"


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def files() -> dict[Path, str]:
    """Every generated file and what belongs into it."""
    found = {GENERATED / "schemas" / f"{message.full_type}.json": _text(schema_of(message)) for message in messages()}
    found[GENERATED / "asyncapi.json"] = _text(document())
    return found


def generate(check: bool) -> list[str]:
    """What differs from the committed files, by name. Written unless `check`; then also what breaks a promise."""
    wanted = files()
    present = set(GENERATED.rglob("*.json"))
    drift = [
        f"{path.relative_to(HERE.parent)} is not what the messages say"
        for path, text in sorted(wanted.items())
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    drift += [f"{path.relative_to(HERE.parent)} is of no message" for path in sorted(present - set(wanted))]
    if check:
        return drift + [f"{path}: {broken}" for path, found in broken_promises().items() for broken in found]
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in present - set(wanted):
        path.unlink()
    return drift


def broken_promises() -> dict[str, list[str]]:
    """Released message -> how today's breaks it."""
    today = {message.full_type: message for message in messages()}
    found: dict[str, list[str]] = {}
    for path in sorted(RELEASED.glob("*.json")):
        message = today.get(path.stem)
        if message is None:
            found[path.stem] = ["a released message disappeared"]
            continue
        released = json.loads(path.read_text(encoding="utf-8"))
        if broken := breaks(released, schema_of(message), border_of(message)):
            found[path.stem] = broken
    return found


def release() -> list[str]:
    """Keep today's schemas as released. Refuses, by naming them, what would break a promise."""
    if broken := broken_promises():
        return [f"{name}: {what}" for name, found in broken.items() for what in found]
    RELEASED.mkdir(exist_ok=True)
    for message in messages():
        (RELEASED / f"{message.full_type}.json").write_text(_text(schema_of(message)), encoding="utf-8")
    return []


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    found = generate(check)
    if "--release" in arguments:
        found = release()
    for line in found:
        print(line)
    if check and found:
        print("run: python -m contracts.generate")
    return 1 if found and (check or "--release" in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
