"""`manage.py export_images OUT`: a laboratory's decided pictures, de-identified, for `python -m mlcore`."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Laboratory
from diagnosis import export
from diagnosis.export import LEFT_OUT, Choice, ExportRefused
from mlcore.bundle import TASKS


class Command(BaseCommand):
    help = "Write a laboratory's decided pictures and their classes, de-identified, into a folder or a .zip."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("out", type=Path, help="an empty or new folder, or a file that ends in .zip")
        parser.add_argument("--laboratory", metavar="SLUG", help="needed where the installation has several")
        parser.add_argument("--task", choices=sorted(TASKS), action="append", help="cell or field; both if not given")
        parser.add_argument("--open-cases", action="store_true", help="also pictures of cases that are not signed")
        parser.add_argument(
            "--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="decided on that day or later"
        )
        parser.add_argument(
            "--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help="decided on that day or earlier"
        )
        parser.add_argument("--class", dest="labels", action="append", default=[], help="only this class; repeatable")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            plan = export.write(
                laboratory=_laboratory(options["laboratory"]),
                choice=Choice(
                    tasks=tuple(options["task"] or TASKS),
                    signed_only=not options["open_cases"],
                    since=options["since"],
                    until=options["until"],
                    labels=frozenset(options["labels"]),
                ),
                to=options["out"],
            )
        except (ExportRefused, OSError) as refused:
            raise CommandError(str(refused)) from refused
        for task, lines in plan.classes().items():
            told = ", ".join(f"{images} {label}" for label, images, _ in lines if images)
            self.stdout.write(f"{task}: {told}")
        for why, count in sorted(plan.left_out.items()):
            self.stdout.write(f"left out: {count} {LEFT_OUT[why]}")
        self.stdout.write(f"{len(plan.pictures)} pictures of {plan.patients} patients in {options['out']}")


def _laboratory(slug: str | None) -> Laboratory:
    found = Laboratory.objects.filter(slug=slug) if slug else Laboratory.objects.all()
    if len(found) != 1:
        known = ", ".join(Laboratory.objects.values_list("slug", flat=True))
        raise CommandError(f"Name one laboratory with --laboratory: {known}.")
    return found[0]
