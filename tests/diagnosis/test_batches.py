"""Batches as steps: files find their cases, zips and lists are bounded, the tray loses nothing."""

from __future__ import annotations

import io
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.permissions import Actor
from diagnosis import queue
from diagnosis.batches import arriving, manifest, matching, opening, progress, settling, store, tray
from diagnosis.models import Analysis, AuditEvent, Batch, BatchFile, Case, Patient, SmearImage, WorkerSeen
from tests.cast import Cast
from tests.hostile import jpeg
from tests.hostile_zips import hostile_zips, zipped
from tests.smears import make_release

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT, settings.UPLOADS_ROOT = tmp_path / "media", tmp_path / "uploads"


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123")


@pytest.fixture
def batch(cast: Cast, case: Case) -> Batch:
    return opening.open_batch(actor=cast.technician, name="Morning")


def bring(actor: Actor, batch: Batch, path: str, data: bytes, **said: Any) -> BatchFile:
    """A file that arrives whole; a zip among them is unpacked by a worker's sweep."""
    file = arriving.begin(actor=actor, batch=batch, path=path, length=len(data), **said)
    arriving.receive(actor=actor, file=file, offset=0, body=io.BytesIO(data), size=len(data))
    progress.sweep()
    file.refresh_from_db()
    return file


# ---- matching


@pytest.mark.parametrize(
    ("masks", "path", "found"),
    [
        ("", "S26-0123.jpg", "S26-0123"),
        ("", "s26_0123 field 4.jpg", "S26-0123"),
        ("", "scans/S26 0123/IMG_0001.jpg", "S26-0123"),
        ("", "S26-0123-2/IMG.jpg", "S26-0123-2"),
        ("", "S26-012_3.jpg", "S26-012"),  # the third picture of S26-012, never S26-0123
        ("", "S26-0123 S26-012.jpg", None),  # two cases
        ("", "S26-0123/S26-012 1.jpg", None),
        ("", "IMG_20261125.jpg", None),  # a date, though a case is called so
        ("", "XS26-0123.jpg", None),
        ("", "letter.jpg", None),
        ("S##-####", "s260123_7.jpg", "S26-0123"),
        ("S##-####", "S26.0123.tif", "S26-0123"),
        ("S##-####", "S26-01234.jpg", None),
        ("S##-####", "S26-9999.jpg", None),
        ("########", "IMG_20261125.jpg", "20261125"),
        ("S##-#+", "S26-012_3.jpg", "S26-012"),
        ("S##-#+\nQ#+", "Q7/S26-0123.jpg", None),
    ],
)
def test_names_lead_to_cases(cast: Cast, masks: str, path: str, found: str | None) -> None:
    for number in ("S26-0123", "S26-0123-2", "S26-012", "20261125", "Q7"):
        cast.case(accession_number=number)
    cast_elsewhere = Case.objects.count()
    match = matching.find(laboratory=cast.laboratory, path=path, masks=matching.read_masks(masks))
    assert (match.case.accession_number if match.case else None) == found
    assert bool(match.reason) == (found is None)
    assert matching.find(laboratory=cast.elsewhere, path=path, masks=[]).case is None
    assert Case.objects.count() == cast_elsewhere


@pytest.mark.parametrize("mask", ["S-@", "#" * 65, "##+", "\n".join(["#"] * 11)])
def test_masks_that_cannot_be_used(mask: str) -> None:
    with pytest.raises(matching.MaskError):
        matching.read_masks(mask)


def test_a_mask_costs_little_on_any_name() -> None:
    (mask,) = matching.read_masks("@+#+-#+@+")
    began = timezone.now()
    list(mask.pattern.finditer("a1-" * 130 + "1" * 400))
    assert timezone.now() - began < timedelta(seconds=1)


def test_rules_are_saved_over_nobody_elses_words(cast: Cast) -> None:
    opening.save_rules(actor=cast.technician, seen=0, masks=" S##-#### \n\n", camera_pixel_um=3.45)
    rules = opening.rules_of(cast.laboratory)
    assert (rules.masks, rules.camera_pixel_um, rules.revision) == ("S##-####", 3.45, 1)
    with pytest.raises(opening.RulesChanged):
        opening.save_rules(actor=cast.pathologist, seen=0, masks="", camera_pixel_um=None)
    assert AuditEvent.objects.filter(action="batch.rules_changed").count() == 1


# ---- zips


def test_a_zip_becomes_a_file_for_each_member(cast: Cast, batch: Batch) -> None:
    data = zipped(
        ("S26-0123/1.jpg", jpeg(seed=1)), ("S26-0123/2.jpg", jpeg(seed=2)), ("S26-0123/1 again.jpg", jpeg(seed=1)),
        ("nobody.jpg", jpeg(seed=3)), ("S26-0123/", b""), ("__MACOSX/._1.jpg", b"x"), ("S26-0123/Thumbs.db", b"x"),
        ("S26-0123/letter.jpg", b"Dear colleague"),
    )  # fmt: skip
    file = bring(cast.technician, batch, "day.zip", data)
    assert (file.state, file.reason) == ("opened", "5 files taken out, 2 of the system left out.")
    states = dict(BatchFile.objects.filter(container=file).values_list("path", "state"))
    assert states == {
        "S26-0123/1.jpg": "accepted",
        "S26-0123/2.jpg": "accepted",
        "S26-0123/1 again.jpg": "duplicate",
        "nobody.jpg": "unmatched",
        "S26-0123/letter.jpg": "rejected",
    }
    assert store.size(file.upload) is None
    assert progress.progress(batch).files == 5


def test_a_zip_goes_on_where_its_worker_died(cast: Cast, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped(*((f"S26-0123/{n}.jpg", jpeg(seed=n)) for n in range(6)))
    real, seen = settling._settle, []

    def dying(file: BatchFile, content: bytes) -> None:
        seen.append(file.path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        real(file, content)

    monkeypatch.setattr(settling, "_settle", dying)
    with pytest.raises(KeyboardInterrupt):
        bring(cast.technician, batch, "day.zip", data)
    BatchFile.objects.update(checking_until=None)
    progress.sweep()
    assert BatchFile.objects.filter(state="accepted").count() == SmearImage.objects.count() == 6
    assert seen.count("S26-0123/0.jpg") == 1


@pytest.mark.timeout(600)
def test_hostile_zips_each_get_a_clear_answer(cast: Cast, batch: Batch, settings: Any) -> None:
    settings.ZIP_MAX_MEMBERS = 50
    settings.INTAKE_MAX_BYTES = 70_000_000
    largest, wrong = 0, []
    for name, data, codes in hostile_zips():
        tracemalloc.start()
        file = bring(cast.technician, batch, f"{name[:8]}.zip", data)
        largest = max(largest, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        members = list(BatchFile.objects.filter(container=file))
        for each in (file, *members):
            if not each.is_settled or (each.state == "rejected" and not each.reason) or each.code == "server_error":
                wrong.append(f"{name}: {each} is {each.state} ({each.code}) {each.reason}")
        said = {each.code for each in (file, *members)}
        if codes and not codes & said:
            wrong.append(f"{name}: {said}")
    assert wrong == []
    assert largest < 260_000_000, f"{largest / 1e6:.0f} MB"


# ---- lists of cases

LIST = "Accession;MRN;File;Kind;Stain;Magnification\nS26-0200;77-1;one.jpg;Single cell;Giemsa;100x\nS26-0200;;;;;\n"


def test_a_list_opens_cases_and_says_whose_files_are(cast: Cast, batch: Batch) -> None:
    opening.save_rules(actor=cast.technician, seen=0, masks="", camera_pixel_um=5.0)
    early = bring(cast.technician, batch, "card/one.jpg", jpeg(seed=1))
    assert early.state == "unmatched"
    taken = manifest.take(actor=cast.technician, batch=batch, data=LIST.encode("utf-8-sig"), name="list.csv")
    assert (taken.rows, taken.opened, taken.matched) == (2, 1, 1)
    case = Case.objects.get(accession_number="S26-0200")
    assert (case.patient.mrn, case.stain) == ("77-1", "giemsa")
    early.refresh_from_db()
    assert (early.state, early.case, early.image.kind) == ("accepted", case, "cell")  # type: ignore[union-attr]
    assert early.image.um_per_pixel == pytest.approx(0.05)  # type: ignore[union-attr]
    assert bring(cast.technician, batch, "S26-0200 2.jpg", jpeg(seed=2)).state == "accepted"
    crossed = bring(cast.technician, batch, "S26-0123/one.jpg", jpeg(seed=3))
    assert (crossed.state, crossed.reason) == (
        "unmatched", "The manifest says S26-0200, its name says S26-0123. Say which one it is.",
    )  # fmt: skip


def test_a_list_with_mistakes_writes_nothing_and_names_each(cast: Cast, batch: Batch) -> None:
    before = Case.objects.count(), Patient.objects.count(), AuditEvent.objects.count()
    owner = Case.objects.get(accession_number="S26-0123").patient.mrn
    text = (
        "accession,mrn,file,kind,stain,um_per_pixel\n"
        "S26-0300,1-1,a.jpg,field,giemsa,0.1\n"  # right
        ",1-2,b.jpg,,,\n"
        "S26-0301,,c.jpg,,,\n"
        "S26-0123,9-9,d.jpg,,,\n"
        "S26-0302,1-3,e.jpg,slide,blue,far\n"
        "S26-0300,1-4,f.jpg,,,\n"
        "S26-0303,1-5,A.JPG,,,\n"
        f"{'X' * 65},1-6,g.jpg,,,\n"
    )
    with pytest.raises(manifest.ManifestRefused) as refused:
        manifest.take(actor=cast.technician, batch=batch, data=text.encode(), name="list.csv")
    places = [(mistake.line, mistake.column) for mistake in refused.value.mistakes]
    assert places == [
        (3, "accession"), (4, "mrn"), (5, "mrn"), (6, "kind"), (6, "um_per_pixel"), (6, "stain"), (7, "mrn"),
        (8, "file"), (9, "accession"),
    ]  # fmt: skip
    assert owner in refused.value.mistakes[2].message
    assert (Case.objects.count(), Patient.objects.count(), AuditEvent.objects.count()) == before


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"mrn\n1\n", "no column “accession”"),
        (b"accession,colour\nA-1,red\n", "not known"),
        (b"accession,accession\nA-1,A-2\n", "Two columns"),
        (b"accession\n", "no row"),
        (b'accession\n"A-1', "no CSV"),
        (b"PK\x03\x04 not a workbook", "cannot be read"),
        (zipped(("xl/worksheets/sheet1.xml", b"\0" * 70_000_000)), "unpacks to more"),
        (b"accession,mrn\n" + b"A-1,1\n" * 5_001, "At most 5000 rows"),
        (b"x" * (manifest.MAX_BYTES + 1), "larger than 4 MiB"),
    ],
)
def test_lists_that_are_none(cast: Cast, batch: Batch, data: bytes, said: str) -> None:
    with pytest.raises(manifest.ManifestRefused) as refused:
        manifest.take(actor=cast.technician, batch=batch, data=data, name="list")
    assert said in " ".join(mistake.message for mistake in refused.value.mistakes)


def workbook(rows: list[list[str]]) -> bytes:
    """The smallest XLSX, by hand."""
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    of_sheets = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def leads(kind: str, target: str) -> str:
        inner = f'<Relationship Id="r1" Type="{rel}/{kind}" Target="{target}"/>'
        return f'<Relationships xmlns="{package}/relationships">{inner}</Relationships>'

    types = (
        f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{of_sheets}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{of_sheets}.worksheet+xml"/></Types>'
    )
    named = '<sheets><sheet name="List" sheetId="1" r:id="r1"/></sheets>'
    book = f'<workbook xmlns="{main}" xmlns:r="{rel}">{named}</workbook>'
    sheet = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
    return zipped(
        ("[Content_Types].xml", types.encode()),
        ("_rels/.rels", leads("officeDocument", "xl/workbook.xml").encode()),
        ("xl/workbook.xml", book.encode()),
        ("xl/_rels/workbook.xml.rels", leads("worksheet", "worksheets/sheet1.xml").encode()),
        ("xl/worksheets/sheet1.xml", sheet.encode()),
    )


def test_a_workbook_is_read_as_well(cast: Cast, batch: Batch) -> None:
    data = workbook([["Accession number", "Patient ID"], ["S26-0400", "5-5"]])
    assert manifest.take(actor=cast.technician, batch=batch, data=data, name="list.xlsx").opened == 1


# ---- the tray


def test_the_tray_assigns_and_loses_nothing(cast: Cast, batch: Batch, case: Case) -> None:
    files = [bring(cast.technician, batch, f"IMG_{n}.jpg", jpeg(seed=n)) for n in range(4)]
    assert [file.state for file in files] == ["unmatched"] * 4
    assert tray.waiting(actor=cast.stranger).count() == 0
    with pytest.raises(opening.BatchError, match="no case S26-9"):
        tray.assign(actor=cast.technician, file_ids=[files[0].pk], accession="S26-9")
    assert tray.waiting(actor=cast.technician).count() == 4
    done = tray.assign(actor=cast.technician, file_ids=[file.pk for file in files[:3]], accession=" s26-0123 ")
    assert done.said == "S26-0123: 3 accepted."
    assert tray.assign(actor=cast.pathologist, file_ids=[files[3].pk], accession="S26-0123").accepted == 1
    assert case.images.count() == 4
    with pytest.raises(opening.BatchError, match="Tick"):
        tray.assign(actor=cast.technician, file_ids=[files[0].pk], accession="S26-0123")
    last = bring(cast.technician, batch, "IMG_9.jpg", jpeg(seed=9))
    assert tray.discard(actor=cast.technician, file_ids=[last.pk]) == 1
    assert store.size(last.upload) is None
    assert AuditEvent.objects.filter(action="batch.file_discarded").count() == 1


def test_a_case_that_is_opened_later_is_found_again(cast: Cast, batch: Batch) -> None:
    opening.save_rules(actor=cast.technician, seen=0, masks="S##-####", camera_pixel_um=None)
    file = bring(cast.technician, batch, "S26-0777 1.jpg", jpeg(seed=1))
    assert (file.state, file.accession) == ("unmatched", "S26-0777")
    assert tray.match_again(actor=cast.technician, batch=batch) == 0
    cast.case(accession_number="S26-0777")
    assert tray.match_again(actor=cast.technician, batch=batch) == 1


# ---- quality and progress


def test_near_duplicates_within_a_case_are_pointed_out(cast: Cast, batch: Batch) -> None:
    first = bring(cast.technician, batch, "S26-0123 a.jpg", jpeg(seed=1, quality=95))
    again = bring(cast.technician, batch, "S26-0123 b.jpg", jpeg(seed=1, quality=60))
    other = bring(cast.technician, batch, "S26-0123 c.jpg", jpeg(seed=2))
    assert not any("almost the same" in flag for flag in first.flags + other.flags)
    assert (
        again.flags[0]
        == "It looks almost the same as S26-0123 a.jpg of this case. Another place on the slide tells more."
    )


def test_progress_counts_every_file_and_says_when_nobody_reads(cast: Cast, batch: Batch) -> None:
    make_release("cell")
    make_release("field")
    for number in range(3):
        bring(cast.technician, batch, f"S26-0123/{number}.jpg", jpeg(seed=number))
    broken = bring(cast.technician, batch, "S26-0123/x.jpg", b"no picture")
    now_is = progress.progress(batch)
    assert (now_is.accepted, now_is.waiting, now_is.rejected, now_is.needs) == (3, 3, 1, 1)
    assert now_is.no_worker
    WorkerSeen.objects.create(name="w")
    assert not progress.progress(batch).no_worker
    bring(cast.technician, batch, "better.jpg", jpeg(seed=8), replaces=broken.pk, accession="S26-0123")
    assert progress.progress(batch).needs == 0
    claimed = queue.claim(worker="w", limit=1)
    queue.fail(batch_token=claimed.token, analysis_ids=[claimed.analyses[0].pk], error="broken", final=True)
    assert progress.progress(batch).failed == 1
    assert progress.retry(actor=cast.technician, batch=batch) == 1
    Analysis.objects.update(state="done", finished_at=timezone.now())
    Batch.objects.update(moved_at=timezone.now() - timedelta(minutes=1))
    progress.sweep()
    batch.refresh_from_db()
    assert batch.finished_at is not None
    progress.sweep()
    assert AuditEvent.objects.filter(action="batch.finished").count() == 1
    bring(cast.technician, batch, "S26-0123/late.jpg", jpeg(seed=30))
    batch.refresh_from_db()
    assert batch.finished_at is None


def test_progress_asks_the_same_however_many_files_there_are(
    cast: Cast, batch: Batch, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        bring(cast.technician, batch, f"S26-0123/{number}.jpg", jpeg(seed=number))
    with django_assert_max_num_queries(12):
        progress.progress(batch)
