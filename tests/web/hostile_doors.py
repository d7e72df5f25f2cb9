"""Sends the files of a folder through the portal's two doors for pictures, and says what became of each.

`python -m tests.web.hostile_doors FOLDER` is a process of its own, so that its memory can be measured: in the folder
lies `samples.json`, a list of `{"file", "name", "zip"}`. Prints JSON: `tus` and `api` (an answer for each file),
`errors` (what the log said that it must not), `grown` (bytes of memory that the files took at most).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
TUS = {"Tus-Resumable": "1.0.0"}
BODY = "application/offset+octet-stream"
LONG = 250  # bytes of a name


class Errors(logging.Handler):
    """What nobody should have to read in the morning."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")


def peak() -> int:
    """The most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def by_tus(client: Any, accession: str, name: str, data: bytes) -> dict[str, Any]:
    """In one request, or, where there is enough of it, in two pieces."""
    said = {"filename": name} | ({"accession": accession} if accession else {})
    pairs = (
        f"{key} {base64.b64encode(value.encode('utf-8', 'surrogatepass')).decode()}" for key, value in said.items()
    )
    headers = TUS | {"Upload-Length": str(len(data)), "Upload-Metadata": ",".join(pairs)}
    first = len(data) if len(data) < 5_000 else len(data) // 3
    answer = client.post("/uploads/", data[:first], content_type=BODY, headers=headers)
    statuses = [answer.status_code]
    upload = answer.headers.get("Location", "")
    if upload and first < len(data):
        headers = TUS | {"Upload-Offset": str(first)}
        statuses.append(client.patch(upload, data[first:], content_type=BODY, headers=headers).status_code)
    return {
        "statuses": statuses,
        "is_zip": data.startswith(b"PK\x03\x04"),
        "upload": upload.strip("/").rpartition("/")[2],
        "words": answer.content.decode(),
    }


def by_api(client: Any, case: int, files: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """Several in one request, written as a browser writes them."""
    boundary = b"leukolens-hostile-boundary"
    parts = []
    for name, data in files:
        quoted = name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22").encode("utf-8", "replace")
        head = b'Content-Disposition: form-data; name="file"; filename="' + quoted + b'"\r\n'
        parts.append(
            b"--" + boundary + b"\r\n" + head + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n"
        )
    answer = client.post(
        f"/api/v1/cases/{case}/images/batch/", b"".join(parts) + b"--" + boundary + b"--\r\n",
        content_type=f"multipart/form-data; boundary={boundary.decode()}",
    )  # fmt: skip
    outcomes = answer.json().get("outcomes", []) if answer.status_code == 200 else []
    if len(outcomes) != len(files):
        lost = {"http": answer.status_code, "status": "lost", "words": answer.content.decode()[:300]}
        return [lost] * len(files)
    return [{"http": answer.status_code} | outcome for outcome in outcomes]


def settled(uploads: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What became of each upload, and of its members where it was a zip."""
    from diagnosis.models import BatchFile

    rows = list(BatchFile.objects.order_by("id").select_related("container"))
    found: dict[str, list[dict[str, Any]]] = {upload: [] for upload in uploads}
    for row in rows:
        facts = {"path": row.path, "state": row.state, "code": row.code, "reason": row.reason, "image": row.image_id}
        found.setdefault(str(row.container.upload if row.container else row.upload), []).append(facts)
    return found


def main(folder: Path) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from accounts import tokens
    from accounts.permissions import Scope
    from diagnosis.batches import progress
    from diagnosis.models import BatchFile
    from tests.cast import make_cast
    from tests.hostile import jpeg

    settings.ZIP_MAX_MEMBERS, settings.INTAKE_MAX_BYTES, settings.ALLOWED_HOSTS = 50, 70_000_000, ["testserver"]
    call_command("migrate", verbosity=0)
    errors = Errors()
    for name in ("", "django", "django.request", "django.server", "diagnosis"):
        logging.getLogger(name).addHandler(errors)
    cast = make_cast()
    cases = [cast.case(accession_number=number) for number in ("S26-0123", "S26-0124")]
    client = Client(raise_request_exception=False)
    client.force_login(cast.technician.user)
    _, token = tokens.issue(actor=cast.technician, name="hostile", scopes=[Scope.IMAGES_WRITE], days=1)
    program = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    by_tus(client, "S26-0123", "first.jpg", jpeg(seed=999))
    by_api(program, cases[1].pk, [("first.jpg", jpeg(seed=999))])
    before = peak()

    samples = json.loads((folder / "samples.json").read_text())
    tus: list[dict[str, Any]] = []
    api: dict[str, dict[str, Any]] = {}
    held: list[tuple[dict[str, Any], bytes]] = []
    for sample in samples:
        data = (folder / sample["file"]).read_bytes()
        tus.append(by_tus(client, "" if sample["zip"] else "S26-0123", sample["name"], data))
        if len(sample["name"].encode("utf-8", "replace")) > LONG:  # it may cost its neighbours their places
            api[sample["file"]] = by_api(program, cases[1].pk, [(sample["name"], data)])[0]
        else:
            held.append((sample, data))
        if len(held) == 8 or sample is samples[-1]:
            answers = by_api(program, cases[1].pk, [(one["name"], content) for one, content in held])
            api |= {one["file"]: answer for (one, _), answer in zip(held, answers, strict=True)}
            held = []
    for _ in range(100):
        progress.sweep()
        if not BatchFile.objects.filter(state__in=("receiving", "received")).exists():
            break
    found = settled([answer["upload"] for answer in tus])
    for answer in tus:
        answer["outcomes"] = found[answer["upload"]]
    grown = peak() - before
    print(
        json.dumps(
            {
                "tus": tus,
                "api": [api[sample["file"]] for sample in samples],
                "errors": sorted(set(errors.said)),
                "grown": grown,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
