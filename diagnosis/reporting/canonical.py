"""One content, one text, one hash: the canonical form of a report.

Canonical JSON: keys sorted, no spaces, UTF-8, no escapes beyond JSON's own. Only texts, whole numbers, truth values,
lists and objects with text keys are allowed: a fraction would read differently after a way through a database, so
every share and probability is written as text where the content is made.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

#: The first characters of a content hash, as a report prints them for the hand: 64 bits, past guessing.
SHORT = 16


def canonical(content: Any) -> bytes:
    """The canonical form of `content`. Raises `TypeError` for anything that is not allowed in it."""
    _check(content)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_hash(content: Any) -> str:
    """SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(content)).hexdigest()


def section_hashes(content: Mapping[str, Any]) -> dict[str, str]:
    """Section → hash, for each top-level member: two contents are the same exactly if these are."""
    return {name: content_hash(section) for name, section in content.items()}


def clean(text: str) -> str:
    """`text` as a report may carry it: composed (NFC), lines ended alike, nothing that is no text, no outer space."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(each for each in text if each in "\n\t" or unicodedata.category(each) not in _NO_TEXT).strip()


def code_shown(digest: str) -> str:
    """The check code as it is printed: "3F2A-90C1-77DE-0B44"."""
    short = digest[:SHORT].upper()
    return "-".join(short[at : at + 4] for at in range(0, SHORT, 4))


#: Control characters, lone surrogates, private use and unassigned: no two readers agree on what these look like.
#: Format characters stay: joiners belong to names.
_NO_TEXT = ("Cc", "Cs", "Co", "Cn")


def _check(value: Any) -> None:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a report's content are texts")
        for each in value.values():
            _check(each)
    elif isinstance(value, list):
        for each in value:
            _check(each)
    elif not (value is None or isinstance(value, bool | int | str)):
        raise TypeError(f"a report's content holds no {type(value).__name__}: {value!r}")
