"""The audit is append-only in the database itself, its chains have no gaps, and tampering shows."""

from __future__ import annotations

import ast
import json
import threading
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from diagnosis import audit
from diagnosis.audit_words import WORDS
from diagnosis.models import AuditEvent, Case
from tests.cast import Cast, make_cast
from tests.triggers import triggers_lifted

pytestmark = pytest.mark.django_db


def _sql(statement: str, *parameters: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def _tamper(statement: str, *parameters: Any) -> None:
    with triggers_lifted(connection):
        _sql(statement, *parameters)


def _chain(cast: Cast, length: int) -> Case:
    case = cast.case()
    for number in range(1, length + 1):
        audit.record(actor=cast.technician, action="image.accepted", case=case, name=f"smear-{number:02d}.png")
    return case


class TestAppendOnly:
    def test_every_trigger_is_there_after_all_migrations(self) -> None:
        assert audit.missing_triggers() == set()

    def _refused(self, cast: Cast, statement: str) -> None:
        _chain(cast, 2)
        before = list(AuditEvent.objects.values())
        with pytest.raises(IntegrityError, match="append-only"):
            _sql(statement)
        assert list(AuditEvent.objects.values()) == before

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE diagnosis_auditevent SET actor_label = 'nobody'",
            "UPDATE diagnosis_auditevent SET hash = hash WHERE sequence = 1",
            "DELETE FROM diagnosis_auditevent",
            "DELETE FROM diagnosis_auditevent WHERE sequence = 2",
        ],
    )
    def test_update_and_delete_are_refused(self, cast: Cast, statement: str) -> None:
        self._refused(cast, statement)

    def test_displacing_a_row_is_refused(self, cast: Cast) -> None:
        again = "diagnosis_auditevent SELECT * FROM diagnosis_auditevent"
        if connection.vendor == "sqlite":
            self._refused(cast, f"INSERT OR REPLACE INTO {again}")
        else:
            self._refused(cast, f"INSERT INTO {again} ON CONFLICT (id) DO UPDATE SET actor_label = 'nobody'")

    @pytest.mark.parametrize("kept", ["sequence", "id"])
    def test_displacing_by_either_key_is_refused(self, cast: Cast, kept: str) -> None:
        if connection.vendor != "sqlite":
            return self._refused(cast, "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE diagnosis_auditevent CASCADE")
        columns = [field.column for field in AuditEvent._meta.concrete_fields]
        changed = {"sequence": "id", "id": "sequence"}[kept]
        values = ", ".join(f"{c} + 1000" if c == changed else c for c in columns)
        return self._refused(
            cast,
            f"INSERT OR REPLACE INTO diagnosis_auditevent ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {values} FROM diagnosis_auditevent WHERE case_id IS NOT NULL",
        )

    def test_the_orm_is_refused_too(self, cast: Cast) -> None:
        event = audit.record(actor=cast.technician, action="case.read", case=cast.case())
        event.actor_label = "nobody"
        for attempt in (event.save, event.delete, AuditEvent.objects.all().delete):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                attempt()

    def test_a_session_that_plays_replica_is_refused_too(self, cast: Cast) -> None:
        if connection.vendor == "postgresql":
            _sql("SET LOCAL session_replication_role = replica")
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL session_replication_role = replica")
        self._refused(cast, "DELETE FROM diagnosis_auditevent")


@pytest.mark.django_db(transaction=True)
def test_the_migration_can_be_undone_and_done_again() -> None:
    call_command("migrate", "diagnosis", "0001", verbosity=0)
    try:
        assert audit.missing_triggers() == audit.TRIGGERS[connection.vendor]
    finally:
        call_command("migrate", "diagnosis", verbosity=0)
    assert audit.missing_triggers() == set()


class TestRecord:
    def test_the_event_says_who_what_and_when(self, cast: Cast) -> None:
        case = cast.case()
        event = audit.record(
            actor=cast.technician, action="image.accepted", case=case, subject="image 12", name="smear-03.jpg"
        )
        event.refresh_from_db()
        assert (event.laboratory, event.case, event.sequence) == (cast.laboratory, case, 1)
        assert (event.actor, event.actor_label) == (cast.technician.user, "Tess Technician")
        assert (event.action, event.subject, event.detail) == ("image.accepted", "image 12", {"name": "smear-03.jpg"})
        assert timezone.now() - event.at < timedelta(seconds=10)
        assert event.sentence == "Tess Technician uploaded smear-03.jpg"

    def test_the_worker_has_no_person(self, cast: Cast) -> None:
        event = audit.record(actor=None, action="image.failed", case=cast.case(), name="a.png", error="cut off")
        assert event.actor is None
        assert event.sentence == "LeukoLens worker could not read a.png: cut off"

    def test_nobody_and_nowhere_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(ValueError, match="needs a case or a laboratory"):
            audit.record(actor=None, action="case.read")

    def test_chains_are_separate(self, cast: Cast) -> None:
        first, second = _chain(cast, 3), _chain(cast, 2)
        audit.record(actor=cast.technician, action="patient.created")
        audit.record(actor=cast.stranger, action="patient.created")
        for case, length in ((first, 3), (second, 2)):
            assert list(case.audit_events.values_list("sequence", flat=True)) == list(range(1, length + 1))
        for laboratory in (cast.laboratory, cast.elsewhere):
            own = AuditEvent.objects.filter(case=None, laboratory=laboratory)
            assert list(own.values_list("sequence", "previous_hash")) == [(1, "")]
            assert audit.verify(laboratory=laboratory) == []

    @pytest.mark.parametrize(
        "detail",
        [
            {"number": 1e16, "small": 1e-7, "whole": 3.0, "minus": -0.0, "huge": 2**80},
            {"text": "Ünïcödé – “ß” \U0001f9ec", "nul": "a\x00b", "surrogate": "a\ud800b", "a\x00key": 1},
            {"born": date(1961, 5, 4), "at": timezone.now(), "decimal": Decimal("0.10")},
            {"nested": [{"b": None, "a": [1.5, True]}, []], "empty": {}},
        ],
    )
    def test_what_is_hashed_is_what_comes_back(self, cast: Cast, detail: dict[str, Any]) -> None:
        case = cast.case()
        event = audit.record(actor=cast.technician, action="case.read", case=case, **detail)
        kept = AuditEvent.objects.get(pk=event.pk)
        assert kept.detail == event.detail
        assert audit.verify(case=case) == []

    def test_what_json_cannot_hold_is_refused(self, cast: Cast) -> None:
        with pytest.raises(ValueError, match="JSON"):
            audit.record(actor=cast.technician, action="case.read", case=cast.case(), figure=float("nan"))

    def test_it_stands_or_falls_with_what_it_records(self, cast: Cast) -> None:
        case = _chain(cast, 1)
        with transaction.atomic():
            audit.record(actor=cast.technician, action="case.read", case=case)
            transaction.set_rollback(True)
        audit.record(actor=cast.pathologist, action="case.read", case=case)
        assert list(case.audit_events.values_list("sequence", flat=True)) == [1, 2]
        assert audit.verify(case=case) == []


@pytest.mark.django_db(transaction=True)
def test_no_gap_and_no_twin_when_many_write_at_once() -> None:
    cast = make_cast()
    case = cast.case()
    start, errors = threading.Barrier(4), list[BaseException]()

    def write() -> None:
        try:
            start.wait()
            for _ in range(10):
                audit.record(actor=cast.technician, action="image.accepted", case=case, name="x.png")
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(case.audit_events.order_by("sequence").values_list("sequence", flat=True)) == list(range(1, 41))
    assert audit.verify(case=case) == []


class TestVerify:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("actor_label", "Somebody Else"),
            ("action", "case.read"),
            ("subject", "image 99"),
            ("detail", json.dumps({"name": "another.png"})),
            ("at", "2020-01-01 00:00:00+00:00"),
            ("previous_hash", "0" * 64),
            ("hash", "0" * 64),
        ],
    )
    def test_an_altered_event_is_found(self, cast: Cast, column: str, value: str) -> None:
        case = _chain(cast, 4)
        update = f"UPDATE diagnosis_auditevent SET {column} = %s WHERE case_id = %s AND sequence = 3"  # noqa: S608
        _tamper(update, value, case.pk)
        wrong = audit.verify(case=case)
        assert wrong[0] == 3
        assert set(wrong) <= {3, 4}  # with another hash the next one does not follow any more

    def test_another_person_is_found(self, cast: Cast) -> None:
        case = _chain(cast, 3)
        _tamper(
            "UPDATE diagnosis_auditevent SET actor_id = %s WHERE case_id = %s AND sequence = 2",
            cast.pathologist.user.pk,
            case.pk,
        )
        assert audit.verify(case=case) == [2]

    def test_a_missing_event_is_found(self, cast: Cast) -> None:
        case = _chain(cast, 5)
        _tamper("DELETE FROM diagnosis_auditevent WHERE case_id = %s AND sequence IN (2, 3)", case.pk)
        assert audit.verify(case=case) == [2, 3]

    def test_a_forged_event_in_the_middle_is_found(self, cast: Cast) -> None:
        case = _chain(cast, 3)
        forged = case.audit_events.get(sequence=2)
        forged.detail = {"name": "forged.png"}
        forged.hash = audit.event_hash(forged)  # right in itself; the next one still names the old hash
        _tamper(
            "UPDATE diagnosis_auditevent SET detail = %s, hash = %s WHERE id = %s",
            json.dumps(forged.detail),
            forged.hash,
            forged.pk,
        )
        assert audit.verify(case=case) == [3]

    def test_it_asks_for_one_chain(self, cast: Cast) -> None:
        with pytest.raises(ValueError, match="a case or a laboratory"):
            audit.verify()
        with pytest.raises(ValueError, match="a case or a laboratory"):
            audit.verify(case=cast.case(), laboratory=cast.laboratory)


class TestReads:
    def test_reads_within_five_minutes_are_one(self, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        case, now = cast.case(), timezone.now()
        noted = []
        for minutes in (0, 1, 4.9, 5.1, 10, 10.2):
            monkeypatch.setattr(audit.timezone, "now", lambda minutes=minutes: now + timedelta(minutes=minutes))
            noted.append(audit.record_read(actor=cast.pathologist, case=case, subject="image 1") is not None)
        assert noted == [True, False, False, True, False, True]
        assert audit.verify(case=case) == []

    def test_each_person_token_and_case_is_a_read_of_its_own(self, cast: Cast) -> None:
        case, other = cast.case(), cast.case()
        by_token = replace(cast.pathologist, label="Paul Pathologist (token scanner)")
        for actor, read in ((cast.pathologist, case), (cast.technician, case), (by_token, case), (by_token, other)):
            assert audit.record_read(actor=actor, case=read) is not None
            assert audit.record_read(actor=actor, case=read) is None
        assert audit.history(case)[0].sentence == "Paul Pathologist (token scanner) read the case"

    @pytest.mark.django_db(transaction=True)
    def test_two_pages_opened_at_once_are_one_read(self) -> None:
        cast = make_cast()
        case = cast.case()
        start = threading.Barrier(3)

        def read() -> None:
            start.wait()
            audit.record_read(actor=cast.pathologist, case=case)
            connection.close()

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert case.audit_events.count() == 1


class TestHistory:
    def test_newest_first_with_the_patients_record(self, cast: Cast) -> None:
        case, other = cast.case(), cast.case()
        audit.record(actor=cast.technician, action="case.created", case=case, accession_number="A-1")
        audit.record(
            actor=cast.technician,
            action="patient.updated",
            subject=f"patient {case.patient_id}",
            changes={"name": ["", "X"], "birth_date": [None, "1961-05-04"]},
        )
        audit.record(actor=cast.technician, action="patient.updated", subject=f"patient {other.patient_id}")
        audit.record(
            actor=cast.pathologist,
            action="image.decided",
            case=case,
            subject="image 3",
            name="smear-03.jpg",
            verdict="override",
            label="promyelocyte",
            reading_label="blast",
            comment="granules",
        )
        assert [event.sentence for event in audit.history(case)] == [
            "Paul Pathologist decided that smear-03.jpg shows promyelocyte; the networks had read blast (“granules”)",
            "Tess Technician changed the patient's name and birth date",
            "Tess Technician opened the case A-1",
        ]

    def test_every_action_has_words_even_without_detail(self) -> None:
        for action in [*WORDS, "something.quite_new"]:
            sentence = AuditEvent(action=action, actor_label="Ada", subject="image 4").sentence
            assert sentence.startswith("Ada ")
            assert "None" not in sentence
            assert len(sentence) > 6

    def test_every_action_in_the_code_has_words(self) -> None:
        said = set()
        for room in ("accounts", "diagnosis"):
            for path in (Path(settings.BASE_DIR) / room).rglob("*.py"):
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("audit.record", "record"):
                        action = next((k.value for k in node.keywords if k.arg == "action"), None)
                        said |= {n.value for n in ast.walk(action) if isinstance(n, ast.Constant)} if action else set()
        assert len(said) > 5
        assert said <= WORDS.keys()


class TestCommand:
    def test_intact(self, cast: Cast) -> None:
        _chain(cast, 3)
        out = StringIO()
        call_command("verify_audit", stdout=out)
        assert out.getvalue() == "Intact: 3 events in 1 chains.\n"

    def test_it_names_what_is_altered(self, cast: Cast) -> None:
        case = _chain(cast, 3)
        _tamper("UPDATE diagnosis_auditevent SET subject = 'x' WHERE case_id = %s AND sequence = 2", case.pk)
        with pytest.raises(CommandError, match=f"/case {case.pk}: event 2 is missing or altered"):
            call_command("verify_audit")

    def test_it_misses_a_trigger(self, cast: Cast) -> None:
        name = min(audit.TRIGGERS[connection.vendor])
        on = " ON diagnosis_auditevent" if connection.vendor == "postgresql" else ""
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {name}{on}")
        with pytest.raises(CommandError, match=f"lacks the triggers {name}"):
            call_command("verify_audit")

    def test_noted_heads_find_a_chain_cut_at_its_end(self, cast: Cast, tmp_path: Path) -> None:
        heads = tmp_path / "heads.json"
        case, gone = _chain(cast, 4), _chain(cast, 1)
        call_command("verify_audit", heads=heads, stdout=StringIO())
        audit.record(actor=cast.technician, action="case.read", case=case)
        call_command("verify_audit", heads=heads, stdout=StringIO())
        noted = heads.read_text()
        _tamper("DELETE FROM diagnosis_auditevent WHERE case_id = %s AND sequence = 5", case.pk)
        _tamper("DELETE FROM diagnosis_auditevent WHERE case_id = %s", gone.pk)
        assert audit.verify(case=case) == []  # a shortened chain is a chain
        with pytest.raises(CommandError) as refused:
            call_command("verify_audit", heads=heads)
        assert f"case {case.pk}: event 5 is not the one noted" in str(refused.value)
        assert f"case {gone.pk}: the whole chain is gone" in str(refused.value)
        assert heads.read_text() == noted  # a failed check does not note the forgery as the new truth
