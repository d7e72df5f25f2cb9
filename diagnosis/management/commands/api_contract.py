"""Holds the API's schema against the accepted one, `docs/openapi.json`, which clients rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.api.contract import breaking
from diagnosis.api.schema import CachedGenerator

ACCEPTED = Path(settings.BASE_DIR, "docs", "openapi.json")


class Command(BaseCommand):
    help = (
        "Checks that the API's schema is the accepted one (docs/openapi.json) and breaks no client. --accept keeps the "
        "present one as accepted, unless it breaks clients; --break says that it does so on purpose."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--accept", action="store_true", help="Keep the present schema as the accepted one.")
        parser.add_argument("--break", action="store_true", dest="on_purpose", help="Although it breaks clients.")

    def handle(self, *args: Any, accept: bool, on_purpose: bool, **options: Any) -> None:
        present = written(CachedGenerator().get_schema(public=True))
        accepted = ACCEPTED.read_text() if ACCEPTED.exists() else ""
        broken = breaking(json.loads(accepted), json.loads(present)) if accepted else []
        if broken and not (accept and on_purpose):
            lines = "\n".join(f"  - {words}" for words in broken)
            raise CommandError(
                f"The API would break those who use it:\n{lines}\nKeep what they rely on, and add beside it. Where it "
                "has to be: manage.py api_contract --accept --break, and say so in docs/api.md."
            )
        if accept:
            ACCEPTED.write_text(present)
            self.stdout.write(f"Accepted: {ACCEPTED.name}.")
        elif present != accepted:
            raise CommandError("The API has something new. Accept it: manage.py api_contract --accept")


def written(schema: dict[str, Any]) -> str:
    """The schema as JSON, the same text for the same schema: sorted, indented, in UTF-8."""
    return json.dumps(schema, sort_keys=True, indent=1, ensure_ascii=False, default=str) + "\n"
