"""What a customer quotes when paying by transfer: an ISO 11649 creditor reference, made from the key of the attempt.

ISO 11649:2009 is ``RF``, two check digits (ISO/IEC 7064 MOD 97-10, as in an IBAN) and up to 21 letters and digits. Ours
are twelve letters, sixteen characters in all: four groups of four to type. Letters only, for MOD 97-10 counts a letter
as two digits and lets B1 pass for 1B; where all are letters, every single slip and every two swapped are found.
"""

import re
from hashlib import sha256
from typing import Final

LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without I and O, which are read as digits."""
BODY: Final = 12
"""24 to the 12th: of ten million references two meet with a chance of one in seven hundred. A reference is a primary
key too, so two that meet are a parked message and never a wrong booking."""
LENGTH: Final = 4 + BODY
MAX_FOUND: Final = 10
"""References looked for in one text; who names more pays for several orders at once, and a person must look."""
_SHAPE: Final = re.compile(rf"(?=(RF[0-9]{{2}}[{LETTERS}]{{{BODY}}}))")
_NOISE: Final = re.compile(r"[^0-9A-Z]+")


def reference_of(key: str) -> str:
    """The same key, the same reference."""
    number = int.from_bytes(sha256(key.encode()).digest())
    body = "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(BODY))
    return f"RF{check_digits(body)}{body}"


def check_digits(body: str) -> str:
    return f"{98 - _number(f'{body}RF00') % 97:02d}"


def is_reference(text: str) -> bool:
    """One of ours, or shaped like one: its check digits are right."""
    return len(text) == LENGTH and _SHAPE.match(text) is not None and _number(text[4:] + text[:4]) % 97 == 1


def references_in(*texts: str) -> tuple[str, ...]:
    """Every reference that a text holds, however it was spaced or broken, in small letters too; the earliest first."""
    found: dict[str, None] = {}
    for text in texts:
        plain = _NOISE.sub("", text.upper())
        for match in _SHAPE.finditer(plain):
            if is_reference(match[1]):
                found[match[1]] = None
            if len(found) == MAX_FOUND:
                return tuple(found)
    return tuple(found)


def printed(reference: str) -> str:
    """In groups of four, as ISO 11649 wants it on paper."""
    return " ".join(reference[at : at + 4] for at in range(0, len(reference), 4))


def _number(text: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in text))
