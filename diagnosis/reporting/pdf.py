"""The report as a PDF: A4, tagged (PDF/UA-1), for the archive (PDF/A-2a), the same bytes for the same content.

What people wrote reaches the typesetter as JSON data and is set as text. It has its own typefaces, so that a report
looks alike on every machine; a character that they lack is written as its Unicode number and never left out silently.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import segno
import typst
from PIL import Image

from diagnosis.models import SmearImage
from diagnosis.reporting.canonical import code_shown, content_hash
from diagnosis.reporting.content import Content
from diagnosis.reporting.glyphs import STANDARDS, spelled, typefaces, unprintable
from mlcore import images

TEMPLATE = Path(__file__).with_name("report.typ")
PICTURE_SIDE = 900  # px, long side: 300 dpi at the printed width is less
#: How the signer proved who they are, in words.
PROOFS = {
    "password": "password",
    "passkey": "passkey",
    "totp": "authenticator code",
    "recovery": "recovery code",
    "demo": "nobody: the demonstration signed this for them",
}
LEVELS = {"alarm": "Alarm", "doubt": "Doubt", "info": "Note"}


class PictureGone(OSError):  # noqa: N818 - what is wrong with the image, told to the signer
    """The stored file of a key image is missing or not the one that was taken in."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The stored picture of image {number} is missing or damaged. Choose another key image.")


def typeset(content: Content, *, site: str) -> bytes:
    """The PDF of a signed `content`. `site`: where the portal is, such as "https://leukolens.example".

    Raises `PictureGone` where a key image cannot be read.
    """
    return _compile(content, site, "pdf")[0]


def pages(content: Content, *, site: str, ppi: float = 110) -> list[bytes]:
    """The same pages as PNG pictures, to look at."""
    return _compile(content, site, "png", ppi)


def verify_url(site: str, digest: str) -> str:
    """The address that the QR code leads to."""
    return f"{site.rstrip('/')}/verify/{digest}/"


def _compile(content: Content, site: str, form: Literal["pdf", "png"], ppi: float | None = None) -> list[bytes]:
    digest = content_hash(content)
    with tempfile.TemporaryDirectory(prefix="leukolens-report-") as name:
        folder = Path(name)
        (folder / TEMPLATE.name).write_bytes(TEMPLATE.read_bytes())
        segno.make(verify_url(site, digest), error="m", micro=False).save(str(folder / "qr.svg"), border=2)
        widths = [_picture(key, folder / f"key-{at}.jpg") for at, key in enumerate(content["key_images"])]
        data = _data(content, digest, site, widths)
        signed_at = datetime.fromisoformat(content["signature"]["at"])

        def run(values: dict[str, Any]) -> list[bytes]:
            made: Any = typst.compile(
                folder / TEMPLATE.name,
                root=folder,
                format=form,
                ppi=ppi,
                sys_inputs={"data": json.dumps(values)},
                timestamp=int(signed_at.timestamp()),
                pdf_standards=STANDARDS if form == "pdf" else [],
                **typefaces(),
            )
            return made if isinstance(made, list) else [made]

        strange = unprintable(json.dumps(data, ensure_ascii=False))
        return run(spelled(data, strange) | {"spelled": True} if strange else data)


def _data(content: Content, digest: str, site: str, widths: list[str]) -> dict[str, Any]:
    signed_at = datetime.fromisoformat(content["signature"]["at"])
    older = content["report"]["supersedes"]
    return {
        "content": {**content, "addenda": addenda_shown(content)},
        "title": f"Blood smear report {content['case']['accession_number']}, version {content['report']['version']}",
        "subject": content["statement"]["research_use"],
        "hash": digest,
        "code": code_shown(digest),
        "older_code": code_shown(older["content_hash"]) if older else "",
        "verify_url": verify_url(site, digest),
        "verify_page": verify_url(site, "").removesuffix("/").removeprefix("https://").removeprefix("http://"),
        "born": born(content),
        "signed_with": PROOFS.get(content["signature"]["with"], content["signature"]["with"]),
        "research_use": content["statement"]["research_use"],
        "levels": LEVELS,
        "widths": widths,
        "spelled": False,
        "year": signed_at.year,
        "month": signed_at.month,
        "day": signed_at.day,
    }


def addenda_shown(content: Content) -> list[dict[str, Any]]:
    """The addenda with their times: the newest one was signed when this version was."""
    shown = content.get("signature", {}).get("shown", "")
    return [{**each, "at": each.get("at") or shown} for each in content["addenda"]]


def born(content: Content) -> str:
    """The patient's birth date as people write it: "3 February 1961"; empty where it is not known."""
    iso = content["patient"]["birth_date"]
    return f"{(at := date.fromisoformat(iso)).day} {at:%B %Y}" if iso else ""


def _picture(key: dict[str, Any], target: Path) -> str:
    """Write the key image for the page; answers how wide it is in nature, where the scale is known."""
    image = SmearImage.objects.filter(pk=key["id"], stored_sha256=key["sha256"]).first()
    try:
        if image is None:
            raise PictureGone(key["number"])
        with image.file.open("rb") as stored:
            data = stored.read()
    except OSError as error:
        raise PictureGone(key["number"]) from error
    if hashlib.sha256(data).hexdigest() != key["sha256"]:
        raise PictureGone(key["number"])
    picture = Image.fromarray(images.decode(data, at_least=PICTURE_SIDE))
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    target.write_bytes(out.getvalue())
    return f"{image.width * float(key['um_per_pixel']):.0f} µm wide" if key["um_per_pixel"] else ""


def sha256(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()
