"""Fill the demo laboratory while its people are at it already. Safe to stop and to run again: what is there stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from diagnosis import dashboard, signout
from diagnosis.management.demo import cases, states
from diagnosis.management.demo.people import ADMINISTRATOR, demo_actor
from diagnosis.models import Case, CommentTemplate
from mlcore import phantom

PROGRESS = settings.VAR / "demo-progress.json"
#: Seconds to wait for the networks in all; what is not read by then comes into its state at the next start.
PATIENCE = 1_800.0
TEMPLATES = {
    "Reactive": "Reactive lymphocytes; no blasts. No evidence of blood cancer in this smear.",
    "Acute leukaemia, urgent": "Blasts well above 20 %. Please admit the patient today; flow cytometry and "
    "genetics are needed before treatment.",
    "APL suspected": "Abnormal promyelocytes, Auer rods. Think of acute promyelocytic leukaemia: PML::RARA and "
    "coagulation at once, and do not wait for them with ATRA.",
    "Repeat the smear": "The smear is too thick to be read. Please send another one.",
}


def load(site: str) -> Iterator[str]:
    """Cases, pictures to upload by hand, states, history; a line for each. `site`: the portal's address."""
    from diagnosis.management.demo.history import load_history

    progress = _progress()
    began = datetime.fromisoformat(progress.setdefault("began", timezone.now().isoformat()))
    done: list[int] = progress.setdefault("states", [])
    _keep(progress)
    _write_templates()
    yield from cases.load_cases()
    write_samples(settings.VAR / "demo-images")
    until = time.monotonic() + PATIENCE
    for number, demo in enumerate(cases.CASES, start=1):
        if demo.state and number not in done:
            case = _once_read(number, until)
            if case is None:
                continue
            try:
                states.STATES[demo.state](case, cases.drawn(number), site)
                yield f"{case.accession_number}: {demo.state.replace('_', ' ')}"
            except states.REFUSALS as refusal:
                yield f"{case.accession_number}: left as it is. {refusal}"
            done.append(number)
            _keep(progress)
    if not progress.get("history"):
        yield from load_history(site, began)
        dashboard.tally(laboratory=demo_actor(ADMINISTRATOR).laboratory, everything=True)
        progress["history"] = True
        _keep(progress)


def _once_read(number: int, until: float) -> Case | None:
    """The case when nothing of it waits any more, None where that takes too long."""
    while True:
        case = cases.found(number)
        if case is None or case.status not in (Case.Status.RECEIVED, Case.Status.READING):
            return case
        if time.monotonic() > until:
            return None
        time.sleep(1.0)


def _progress() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(PROGRESS.read_text()) if PROGRESS.exists() else {}
    return known


def _keep(progress: dict[str, Any]) -> None:
    PROGRESS.parent.mkdir(parents=True, exist_ok=True)
    beside = PROGRESS.with_suffix(".new")
    beside.write_text(json.dumps(progress, indent=2) + "\n")
    beside.replace(PROGRESS)


def _write_templates() -> None:
    administrator = demo_actor(ADMINISTRATOR)
    if not CommentTemplate.objects.filter(laboratory=administrator.laboratory).exists():
        for title, text in TEMPLATES.items():
            signout.save_template(actor=administrator, title=title, text=text)


def write_samples(folder: Path) -> int:
    """Some more rendered pictures as files, for a newcomer to upload by hand; answers how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for story, seed in (("APL", 501), ("ALL early pre-B", 502), ("reactive", 503)):
        for image in phantom.rendered_smear(story, seed=seed)[:4]:
            path = folder / f"{story.lower().replace(' ', '-')}-{image.filename}"
            if not path.exists():
                path.write_bytes(image.data)
    return len(list(folder.glob("*.jpg")))
