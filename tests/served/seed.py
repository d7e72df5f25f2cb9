"""Fill a portal's database from a process of its own: `python -m tests.served.seed IMAGES [--kind field]`.

Images are written and enqueued one transaction each, as uploads are. Prints as JSON the case's id, the id and sha256
of each image, and an API token of the technician who uploaded them.
"""

from __future__ import annotations

import argparse
import json
import os


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=int)
    parser.add_argument("--kind", default="field")
    options = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.db import transaction
    from django.utils import timezone

    from accounts import tokens
    from accounts.models import Laboratory, Membership, Role, User
    from accounts.permissions import Scope, actor_for
    from diagnosis import queue
    from diagnosis.models import Case, Patient
    from tests.smears import make_image, picture

    laboratory, _ = Laboratory.objects.get_or_create(name="Fault Laboratory", slug="faults")
    user = User.objects.filter(email="faults@example.org").first() or User.objects.create_user("faults@example.org")
    Membership.objects.get_or_create(user=user, laboratory=laboratory, role=Role.TECHNICIAN)
    actor = actor_for(user, laboratory)
    assert actor is not None
    _, token = tokens.issue(
        actor=actor, name="faults", scopes=[Scope.CASES_READ, Scope.CASES_WRITE, Scope.IMAGES_WRITE], days=1
    )
    number = Case.objects.count() + 1
    case = Case.objects.create(
        laboratory=laboratory, created_by=user, accession_number=f"FAULT-{number}", due_at=timezone.now(),
        patient=Patient.objects.create(laboratory=laboratory, mrn=f"F-{number}"),
    )  # fmt: skip
    images = {}
    for index in range(options.images):
        with transaction.atomic():
            image = make_image(case, kind=options.kind, data=picture(number * 100_000 + index))
            queue.enqueue(image)
        images[image.pk] = image.stored_sha256
    print(json.dumps({"case": case.pk, "images": images, "token": token}))


if __name__ == "__main__":
    main()
