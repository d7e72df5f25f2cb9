"""`manage.py verify_audit`: is the audit what was written?"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis import audit


class Command(BaseCommand):
    help = "Check every chain of the audit; exits 1 and names the events that are missing or altered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--heads",
            type=Path,
            metavar="FILE",
            help="compare with the chain ends noted in FILE by the last run (finds events cut off at the end and "
            "chains written anew), then note today's; keep FILE where the database's owner cannot write",
        )

    def handle(self, *args: Any, heads: Path | None, **options: Any) -> None:
        noted: dict[str, list[Any]] = json.loads(heads.read_text()) if heads and heads.exists() else {}
        faults: list[str] = []
        now: dict[str, list[Any]] = {}
        count = 0
        if gone := audit.missing_triggers():
            faults.append(f"the database lacks the triggers {', '.join(sorted(gone))}: run `manage.py migrate`")
        for name, chain in audit.chains():
            count += len(chain)
            wrong = audit.broken(chain)
            faults.extend(f"{name}: event {sequence} is missing or altered" for sequence in wrong)
            now[name] = [chain[-1].sequence, chain[-1].hash]
            if name in noted:
                sequence, digest = noted.pop(name)
                if not any(event.sequence == sequence and event.hash == digest for event in chain):
                    faults.append(f"{name}: event {sequence} is not the one noted at the last check")
        faults.extend(f"{name}: the whole chain is gone" for name in noted)
        if faults:
            raise CommandError("The audit is not intact.\n  - " + "\n  - ".join(faults))
        if heads:
            heads.write_text(json.dumps(now, indent=1) + "\n")
        self.stdout.write(f"Intact: {count} events in {len(now)} chains.")
