"""What people are told: bars while it goes on, a line for each file, tables, CSV and JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from tqdm import tqdm

from leukolens_client.records import RESEARCH_USE_ONLY, Batch, Case, Image
from leukolens_client.uploading import Result, Sent

COLUMNS = (
    "accession_number", "image", "name", "kind", "status", "label", "probability", "malignant", "agree", "novelty",
    "needs_person", "warnings", "decision", "decided_label", "decided_by", "error",
)  # fmt: skip
_SHOWN = (
    "accession_number",
    "image",
    "name",
    "status",
    "label",
    "probability",
    "malignant",
    "needs_person",
    "decision",
)


class Bars:
    """How an upload goes, as one bar of bytes; silent where nobody looks."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._lock = Lock()
        self._files, self._ended = 0, 0

    def begun(self, batch: int, files: int, bytes: int) -> None:
        self._files = files
        self._bar = tqdm(total=bytes, unit="B", unit_scale=True, unit_divisor=1024, disable=None, file=sys.stderr,
                         desc=f"Batch {batch}: 0 of {files} files")  # fmt: skip

    def moved(self, bytes: int) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.update(bytes)

    def ended(self, result: Result) -> None:
        with self._lock:
            self._ended += 1
            if self._bar is not None:
                self._bar.set_description(f"{self._ended} of {self._files} files")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def waiting_bar() -> Any:
    """To be called with each look at a batch."""
    bar: tqdm[Any] = tqdm(unit="image", disable=None, file=sys.stderr, desc="Reading")
    warned = set[str]()

    def told(seen: Batch) -> None:
        read = seen.counts["read"] + seen.counts["failed"]
        bar.total = read + seen.counts["queued"] + seen.counts["reading"]
        bar.n = read
        bar.refresh()
        if seen.warning and seen.warning not in warned:
            warned.add(seen.warning)
            print(seen.warning, file=sys.stderr)
        if seen.is_done:
            bar.close()

    return told


def sentence(result: Result) -> str:
    """One file in one line."""
    outcome = result.outcome
    if outcome is None:
        return f"FAILED         {result.name} – {result.error}"
    facts = [f"image {outcome.image}"] if outcome.image else []
    facts += [outcome.reason] if outcome.reason else []
    facts += outcome.flags
    return f"{outcome.words:<14} {result.name}" + (f" – {'; '.join(facts)}" if facts else "")


def summary(sent: Sent) -> str:
    """How many files came to what, and what there is to do."""
    states = Counter(each.outcome.words.lower() if each.outcome else "failed" for each in sent.results)
    lines = [f"Batch {sent.batch}: " + ", ".join(f"{count} {state}" for state, count in states.most_common())]
    if sent.opened:
        lines.append(f"The list opened {_number(sent.opened, 'case')}.")
    if sent.left_alone:
        lines.append(f"No pictures by their names, and left alone: {_number(sent.left_alone, 'file')}.")
    if sent.unmatched:
        lines.append(f"In the tray until somebody says whose they are: {_number(len(sent.unmatched), 'file')}.")
    if any(each.outcome is None for each in sent.results):
        lines.append("Run the same command again: what has arrived is not sent twice.")
    return "\n".join(lines)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


def sent_as_json(sent: Sent) -> dict[str, Any]:
    return {
        "batch": sent.batch,
        "failed": len(sent.failed),
        "unmatched": len(sent.unmatched),
        "files": [{**asdict(result), "failed": result.failed} for result in sent.results],
    }


def case_as_json(case: Case) -> dict[str, Any]:
    said = asdict(case)
    if case.assessment:
        said["assessment"] = case.assessment.raw
    return said


def rows(found: Iterable[tuple[Case, Iterable[Image]]]) -> list[dict[str, Any]]:
    """One row for each image, by `COLUMNS`; empty where nothing is known."""
    return [_row(case.accession_number, image) for case, images in found for image in images]


def _row(accession: str, image: Image) -> dict[str, Any]:
    reading, decision = image.reading, image.decision
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row |= {
        "accession_number": accession, "image": image.id, "name": image.name, "kind": image.kind,
        "status": image.status, "error": image.error,
    }  # fmt: skip
    if reading:
        row |= {name: getattr(reading, name) for name in
                ("label", "probability", "malignant", "agree", "novelty", "needs_person")}  # fmt: skip
        row["warnings"] = "; ".join(reading.warnings)
    if decision:
        row |= {"decision": decision.verdict, "decided_label": decision.label, "decided_by": decision.decided_by}
    return row


def write_csv(lines: Iterable[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in line.items()} for line in lines)


def _harmless(value: Any) -> Any:
    """A spreadsheet must not take a file's name for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def table(lines: Sequence[dict[str, Any]]) -> str:
    """For a terminal."""
    cells = [list(_SHOWN)] + [[_short(line[name]) for name in _SHOWN] for line in lines]
    widths = [max(len(row[index]) for row in cells) for index in range(len(_SHOWN))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def research_use_only() -> None:
    print(RESEARCH_USE_ONLY, file=sys.stderr)
