"""`manage.py load_demo`: the demo laboratory, safe to run again."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Make the demo laboratory: people, an API token, invented patients and cases with rendered smears."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:8000", help="address written beside the credentials")
        parser.add_argument("--people-only", action="store_true", help="no cases and no pictures")
        parser.add_argument("--images", type=Path, help="a folder with a manifest.csv, instead of rendered smears")

    def handle(self, *args: Any, **options: Any) -> None:
        from diagnosis.management import demo

        demo.make_people(options["url"])
        if options["people_only"]:
            return
        os.nice(5)  # whoever looks at the portal meanwhile comes first
        from diagnosis.management.demo.folder import load_folder
        from diagnosis.management.demo.loading import load

        try:
            for line in load_folder(options["images"]) if options["images"] else load(options["url"]):
                self.stdout.write(line)
        except (FileNotFoundError, ValueError) as error:
            raise CommandError(str(error)) from error
