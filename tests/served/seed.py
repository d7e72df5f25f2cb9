"""Fill a portal's database from a process of its own: `python -m tests.served.seed IMAGES [--kind cell] [--poison]`.

Images are written and enqueued one transaction each, as uploads are. Prints the case's id and the sha256 of each
stored file as JSON.
"""

from __future__ import annotations

import argparse
import json
import os


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=int)
    parser.add_argument("--kind", default="field")
    parser.add_argument("--urgent", action="store_true")
    options = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.db import transaction

    from accounts.models import Laboratory, User
    from diagnosis import queue
    from diagnosis.models import Case, Patient
    from tests.smears import make_image, picture

    laboratory, _ = Laboratory.objects.get_or_create(name="Fault Laboratory", slug="faults")
    user = User.objects.filter(email="faults@example.org").first() or User.objects.create_user("faults@example.org")
    number = Case.objects.count() + 1
    case = Case.objects.create(
        laboratory=laboratory, created_by=user, accession_number=f"FAULT-{number}",
        patient=Patient.objects.create(laboratory=laboratory, mrn=f"F-{number}"),
        priority=Case.Priority.URGENT if options.urgent else Case.Priority.ROUTINE,
    )  # fmt: skip
    hashes = []
    for index in range(options.images):
        with transaction.atomic():
            image = make_image(case, kind=options.kind, data=picture(number * 100_000 + index))
            queue.enqueue(image)
        hashes.append(image.stored_sha256)
    print(json.dumps({"case": case.pk, "hashes": hashes}))


if __name__ == "__main__":
    main()
