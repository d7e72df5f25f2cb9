"""Characters that the documents' typefaces lack: never left out silently, but written as their Unicode numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typst
from django.conf import settings

STANDARDS: list[Any] = ["a-2a", "ua-1"]


def typefaces() -> dict[str, Any]:
    """What typst is told of typefaces: its own and those in DOCUMENT_FONTS, never what happens to lie on a machine."""
    return {"ignore_system_fonts": True, "font_paths": [settings.DOCUMENT_FONTS] if settings.DOCUMENT_FONTS else []}


def unprintable(text: str) -> frozenset[str]:
    """The characters of `text` that no typeface of the document has. Plain Latin text costs nothing."""
    asked = sorted({each for each in text if ord(each) > 0x17F})
    return frozenset(_lacking(asked))


def _lacking(characters: list[str]) -> Iterable[str]:
    if not characters or _sets("".join(characters)):
        return ()
    if len(characters) == 1:
        return characters
    half = len(characters) // 2
    return (*_lacking(characters[:half]), *_lacking(characters[half:]))


def _sets(text: str) -> bool:
    source = b'#set document(title: "x")\n#set text(font: "Libertinus Serif", lang: "en")\n#sys.inputs.text'
    try:
        typst.compile(source, format="pdf", sys_inputs={"text": text}, pdf_standards=STANDARDS, **typefaces())
    except typst.TypstError:
        return False
    return True


def spelled(value: Any, strange: frozenset[str]) -> Any:
    if isinstance(value, str):
        return "".join(f"[U+{ord(each):04X}]" if each in strange else each for each in value)
    if isinstance(value, list):
        return [spelled(each, strange) for each in value]
    if isinstance(value, dict):
        return {key: spelled(each, strange) for key, each in value.items()}
    return value
