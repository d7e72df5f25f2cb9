"""The weeks before: cases that the demo's people read, decided and signed, so that the laboratory's figures have
something to say. Every step is the real one, at a clock of its own; the networks read the pictures in this process.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from diagnosis import analysis, clinic, intake, queue, second_opinion, signout
from diagnosis.management.demo import states
from diagnosis.management.demo.clock import clock_at
from diagnosis.management.demo.people import PATHOLOGIST, SECOND, TECHNICIAN, THIRD, demo_actor
from diagnosis.models import Case, Notice, SmearImage
from mlcore import phantom

FIRST = 2700
DAYS = 42
#: Story → (how often, pictures, diagnosis, the diagnosis of a colleague who differs).
STORIES = {
    "reactive": (9, 5, "reactive", "suspicious"),
    "AML": (4, 6, "9861/3", "9866/3"),
    "plasma cells": (2, 5, "9733/3", "reactive"),
    "APL": (2, 6, "9866/3", "9861/3"),
    "haematogones": (2, 1, "haematogones", "9811/3"),
    "ALL pre-B": (2, 1, "9811/3", "haematogones"),
    "ALL early pre-B": (1, 1, "9811/3", "haematogones"),
}


@dataclass(frozen=True, slots=True)
class Past:
    """One case of the weeks before. `opened`: how long before the newcomer came; `took`: until it was signed."""

    number: int
    story: str
    opened: datetime.timedelta
    took: datetime.timedelta
    urgent: bool
    reader: str
    opinion: str  # "", "same" or "differs": a colleague was asked
    amended: bool

    @property
    def ending(self) -> str:
        return f"-{FIRST + self.number:05d}"


def plan() -> list[Past]:
    """The same for everybody: on each working day a case or two, most of them in time."""
    draw = random.Random(26)
    cases: list[Past] = []
    for day in range(DAYS, 1, -1):
        for _ in range(draw.choice((0, 1, 1, 1, 2))):
            urgent = draw.random() < 0.25
            hours = draw.lognormvariate(0.7, 0.5) if urgent else draw.lognormvariate(3.1, 0.5)
            story = draw.choices(list(STORIES), [often for often, *_ in STORIES.values()])[0]
            cases.append(
                Past(
                    number=len(cases) + 1,
                    story=story,
                    opened=datetime.timedelta(days=day, hours=draw.uniform(0, 9)),
                    took=datetime.timedelta(hours=min(hours, day * 24 - 20)),
                    urgent=urgent,
                    reader=draw.choice((PATHOLOGIST, SECOND)),
                    opinion=draw.choices(("", "same", "differs"), (60, 34, 6))[0],
                    amended=draw.random() < 0.07 and day > 5,
                )
            )
    return cases


def load_history(site: str, now: datetime.datetime) -> Iterator[str]:
    """Make what is not there yet of the weeks before `now`; a line when it is done. Goes on where it was cut short."""
    laboratory = demo_actor(TECHNICIAN).laboratory
    known = Case.objects.filter(laboratory=laboratory, accession_number__startswith="ACC-")
    made = 0
    for past in plan():
        case = known.filter(accession_number__endswith=past.ending).first()
        if case is None:
            case = _read(past, now - past.opened)
        if case.report_version == 0:
            _signed(past, case, site)
            made += 1
        if past.amended and case.report_version < 2:
            _amended(past, case, site)
        # Read weeks ago: it would stand above what the states told a moment ago, being written after it.
        Notice.objects.filter(case=case).delete()
    if made:
        yield f"{made} cases of the last {DAYS // 7} weeks, signed"


def _read(past: Past, opened: datetime.datetime) -> Case:
    """The case with its smears, read. In one transaction, so that no worker takes pictures of the past."""
    technician = demo_actor(TECHNICIAN)
    images = _smear(past)
    with clock_at(opened), transaction.atomic():
        case = clinic.create_case(
            actor=technician,
            accession_number=f"ACC-{timezone.localdate().year % 100}{past.ending}",
            priority=Case.Priority.URGENT if past.urgent else Case.Priority.ROUTINE,
            clinical_question="Invented, to give the laboratory some weeks behind it.",
            patient=clinic.PatientData(mrn=f"78{past.number:02d}-900", name=f"Rendered Person {100 + past.number}"),
        )
        for image in images:
            intake.receive_image(
                actor=technician, case=case, data=image.data, name=image.filename, kind=image.kind,
                via=SmearImage.Via.COMMAND,
            )  # fmt: skip
        while (batch := queue.claim(worker="demo", case=case)).analyses:
            analysis.read_batch(batch)
    return Case.objects.get(pk=case.pk)


def _smear(past: Past) -> list[phantom.RenderedImage]:
    return phantom.rendered_smear(past.story, seed=600 + past.number)[: STORIES[past.story][1]]


def _signed(past: Past, case: Case, site: str) -> None:
    reader, (_, _, diagnosis, other) = demo_actor(past.reader), STORIES[past.story]
    drawn = {image.filename: image.label for image in _smear(past)}
    with clock_at(case.created_at + past.took * 0.7):
        states.decide(reader, case, drawn)
        states.write(reader, case, diagnosis, "As seen.", key_images=1)
    if past.opinion and not second_opinion.of_case(case).exists():
        colleague = demo_actor(THIRD)
        with clock_at(case.created_at + past.took * 0.75):
            opinion = second_opinion.ask(actor=reader, case=case, colleagues=[colleague.user], diagnosis=diagnosis)[0]
        with clock_at(case.created_at + past.took * 0.9):
            said = diagnosis if past.opinion == "same" else other
            second_opinion.answer(actor=colleague, opinion=opinion, diagnosis=said)
        if past.opinion == "differs":
            with clock_at(case.created_at + past.took * 0.95):
                second_opinion.adjudicate(
                    actor=reader, case=case, diagnosis=diagnosis, reason="Looked at together.", consensus=True
                )
    with clock_at(case.created_at + past.took):
        states.sign(reader, case, site)


def _amended(past: Past, case: Case, site: str) -> None:
    reader = demo_actor(past.reader)
    with clock_at(case.created_at + past.took + datetime.timedelta(hours=30)):
        if not Case.objects.get(pk=case.pk).amending:
            signout.amend(actor=reader, case=case, reason="Genetics came in.")
        states.write(reader, case, STORIES[past.story][2], "As seen; genetics agree.", key_images=1)
        states.sign(reader, case, site)
