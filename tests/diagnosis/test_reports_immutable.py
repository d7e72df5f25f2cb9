"""Signed versions cannot be changed, deleted or displaced, whoever asks; what goes round the database is found."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, models, transaction

from diagnosis.models import Case, Report
from diagnosis.signout.verifying import faults, missing_triggers
from tests.cast import Cast
from tests.diagnosis.signing import signed_case
from tests.triggers import triggers_lifted

pytestmark = pytest.mark.django_db
COLUMNS = (
    "id, case_id, version, kind, reason, content, content_hash, pdf, pdf_sha256, signed_by_id, signed_at, signed_with"
)


def displacing(values: str) -> str:
    """SQLite deletes the row that stands in the way without asking the trigger on deletion."""
    return f"INSERT OR REPLACE INTO diagnosis_report ({COLUMNS}) SELECT {values} FROM diagnosis_report"  # noqa: S608


#: What only one of the databases knows.
OWN = {
    "sqlite": {
        "displaced by its key": displacing(COLUMNS.replace("reason", "'Another.'")),
        "displaced by its version": displacing(COLUMNS.replace("id, case_id", "id + 100, case_id", 1)),
        "displaced by its content": displacing(
            COLUMNS.replace("id, case_id, version", "id + 100, case_id, version + 1", 1)
        ),
    },
    "postgresql": {
        "emptied": "TRUNCATE diagnosis_report",
        "emptied with what it refers to": "TRUNCATE diagnosis_case CASCADE",
        "deleted by a replica": "SET LOCAL session_replication_role = replica; DELETE FROM diagnosis_report",
        "displaced": "INSERT INTO diagnosis_report SELECT * FROM diagnosis_report "
        "ON CONFLICT (id) DO UPDATE SET reason = 'Another.'",
    },
}[connection.vendor]


@pytest.fixture
def report(cast: Cast) -> Report:
    return signed_case(cast)


def refused(step: Callable[[], object]) -> None:
    before = Report.objects.values_list("pk", "content_hash", "reason")
    kept = list(before)
    with pytest.raises(DatabaseError), transaction.atomic():
        step()
    assert list(before.all()) == kept


def run(statement: str) -> Callable[[], None]:
    def execute() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return execute


def test_django_changes_none(report: Report) -> None:
    report.reason = "Another."
    refused(report.save)
    refused(lambda: Report.objects.update(reason="Another."))
    refused(lambda: Report.objects.bulk_update([report], ["reason"]))
    refused(lambda: Report.objects.update_or_create(pk=report.pk, defaults={"reason": "Another."}))


def test_django_deletes_none(report: Report) -> None:
    refused(report.delete)
    refused(Report.objects.all().delete)
    refused(lambda: Report.objects.all()._raw_delete("default"))
    with pytest.raises(models.ProtectedError):
        report.case.delete()
    with pytest.raises(models.ProtectedError):
        report.signed_by.delete()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE diagnosis_report SET reason = 'Another.'",
        "UPDATE diagnosis_report SET pdf_sha256 = pdf_sha256",
        "DELETE FROM diagnosis_report",
    ],
)
def test_sql_changes_none(report: Report, statement: str) -> None:
    refused(run(statement))


@pytest.mark.parametrize("way", OWN)
def test_no_way_of_this_database_leads_past_it(report: Report, way: str) -> None:
    refused(run(OWN[way]))


def test_a_version_stands_once(report: Report) -> None:
    twin = copy.copy(report)
    twin.pk, twin.content_hash = None, "f" * 64
    refused(twin.save)
    twin.version = 2
    twin.save()
    assert Report.objects.filter(case=report.case).count() == 2


def test_the_command_finds_nothing_wrong(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_reports")
    assert capsys.readouterr().out == "Intact: 1 signed versions.\n"
    assert missing_triggers() == set()


def test_the_command_finds_what_somebody_did_behind_the_triggers(report: Report) -> None:
    def altered(**columns: object) -> list[str]:
        with transaction.atomic():
            with triggers_lifted(connection):
                Report.objects.update(**columns)
            found = list(faults())
            transaction.set_rollback(True)
        return found

    name = f"case {report.case_id}, version 1"
    content = copy.deepcopy(report.content)
    content["diagnosis"]["code"] = "9861/3"
    assert altered(content=content) == [f"{name}: the content is not the one that was signed"]
    assert altered(pdf=b"%PDF-1.7 another") == [f"{name}: the PDF is not the one that was signed"]
    assert altered(version=2) == [f"{name}: gone"]
    Case.objects.filter(pk=report.case_id).update(report_version=2)
    assert list(faults()) == [f"case {report.case_id}, version 2: gone"]
    with pytest.raises(CommandError, match="The reports are not intact"):
        call_command("verify_reports")


def test_the_command_finds_a_trigger_that_is_gone(report: Report) -> None:
    name, table = (
        ("report_no_update", "") if connection.vendor == "sqlite" else ("report_no_change", " ON diagnosis_report")
    )
    with transaction.atomic():
        run(f"DROP TRIGGER {name}{table}")()
        assert missing_triggers() == {name}
        assert next(iter(faults())) == f"the database lacks the triggers {name}: run `manage.py migrate`"
        transaction.set_rollback(True)
