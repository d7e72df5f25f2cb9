"""What differs between two contents of a report, in lines that a person can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diagnosis.reporting.content import SECTIONS, Content
from mlcore.reading import words

#: Always another one in another version, or said in the lines of another section.
_NOT_COMPARED = ("report", "signature", "review", "statement")
_NAMES = {
    "mrn": "record number",
    "birth_date": "birth date",
    "accession_number": "accession number",
    "received_at": "received",
    "notes": "clinical notes",
    "shown": "diagnosis",
    "text": "free text",
}
_LEFT_OUT = {"diagnosis": ("code", "name", "group", "malignant")}


@dataclass(frozen=True, slots=True)
class Change:
    """One line: where, and how it read before and reads now; empty where there was or is nothing."""

    where: str
    before: str
    after: str


def changed_sections(seen: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the sections whose hashes differ, in the order of the report and in words."""
    return [SECTIONS.get(name, name) for name in SECTIONS if seen.get(name) != now.get(name)]


def changes(before: Content, after: Content) -> list[Change]:
    """Every difference between two versions, section by section."""
    found: list[Change] = []
    for name, title in SECTIONS.items():
        old, new = before.get(name), after.get(name)
        if name in _NOT_COMPARED or old == new:
            continue
        if name == "images":
            found += _images(old or [], new or [])
        elif isinstance(old, dict) and isinstance(new, dict) and name not in ("differential", "fields", "networks"):
            found += [
                Change(_where(title, key), _text(old.get(key)), _text(new.get(key)))
                for key in new
                if old.get(key) != new.get(key) and key not in _LEFT_OUT.get(name, ())
            ]
        else:
            found.append(Change(title, _text(old), _text(new)))
    return found


def _where(title: str, key: str) -> str:
    name = _NAMES.get(key, key.replace("_", " "))
    return title if name == title else f"{title}: {name}"


def _images(old: list[Any], new: list[Any]) -> Iterator[Change]:
    """An image that came, and one on which another class was decided."""
    was = {image["id"]: image for image in old}
    for number, image in enumerate(new, start=1):
        before = was.get(image["id"])
        decided = words(image["decision"]) or "undecided"
        if before is None:
            yield Change(f"image {number}", "", f"new, {decided}")
        elif before["decision"] != image["decision"]:
            yield Change(f"image {number}", words(before["decision"]) or "undecided", decided)
        elif before["kind"] != image["kind"]:
            yield Change(f"image {number}", before["kind"], image["kind"])


def _text(value: Any) -> str:
    """A section or a member of it in one text."""
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, list):
        return "\n".join(_line(each) for each in value)
    if isinstance(value, dict):
        return _table(value) if "lines" in value else _line(value)
    return str(value)


def _table(value: Mapping[str, Any]) -> str:
    lines = [f"{line['label']}: {line['people']} ({line['people_share']})" for line in value["lines"]]
    return "\n".join(lines + [f"{line['label']}: {line['people']}, not counted" for line in value["not_counted"]])


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "releases" in value:
        probability = value["probability"]
        said = [f"probability {probability['value']}"] if probability else []
        return ", ".join(said + [f"{each['network']} {each['version']}" for each in value["releases"]])
    if "number" in value:
        return f"Image {value['number']}: {value['label']}"
    if {"value", "low", "high"} <= value.keys():
        return f"{value['value']} ({value['low']} to {value['high']})"
    shown = {key: value[key] for key in value if key not in ("images", "level", "detail", "id", "sha256")}
    return " · ".join(str(each) for each in shown.values() if each not in ("", None, []))
