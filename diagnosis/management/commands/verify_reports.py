"""`manage.py verify_reports`: are the signed reports what was signed?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.models import Report
from diagnosis.signout.verifying import faults


class Command(BaseCommand):
    help = "Compute every signed report's hashes anew; exits 1 and names what is altered or gone."

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(faults())
        if found:
            raise CommandError("The reports are not intact.\n  - " + "\n  - ".join(found))
        self.stdout.write(f"Intact: {Report.objects.count()} signed versions.")
