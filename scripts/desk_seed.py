"""A laboratory after some years, made by the database itself: cases, images, analyses, decisions, history.

Every row is one that the steps could have written (states, orders, assessments), but for the audit's hashes and the
pictures, which nobody looks at here. PostgreSQL only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import connection, models

from accounts.models import Laboratory, Membership, Role, User
from diagnosis.assessment import Evidence, ImageEvidence, assess
from diagnosis.models import (
    Analysis,
    AuditEvent,
    Case,
    CaseFlag,
    ClinicalData,
    Decision,
    ModelRelease,
    Patient,
    Report,
    SecondOpinion,
    SmearImage,
)
from diagnosis.vocabulary import DIAGNOSES
from mlcore.bundle import MALIGNANT, TASKS

PATHOLOGISTS = 12
OPEN_IN = 33  # one of so many cases is open: 3 % of them, the newest
FORENAMES = ["Anna", "Berta", "Clara", "Dora", "Emil", "Fritz", "Greta", "Hugo", "Ida", "Jan", "Karl", "Lena", "Max",
             "Nora", "Otto", "Paula", "Rosa", "Sven", "Tom", "Uta"]  # fmt: skip
STEMS = ["Acker", "Birken", "Dorn", "Eber", "Falken", "Garten", "Hohen", "Kirch", "Linden", "Mahler", "Nieder", "Ober",
         "Rosen", "Stein", "Tannen", "Weiden"]  # fmt: skip
ENDS = ["bach", "baum", "berg", "brand", "burg", "dorf", "feld", "haus", "heim", "hof", "mann", "meyer", "müller",
        "reuter", "schmidt", "stein", "tal", "thal", "wald"]  # fmt: skip
#: What the ten images of a case show, in eight sorts of case.
SMEARS = (
    ["neutrophil"] * 6 + ["lymphocyte"] * 3 + ["monocyte"],
    ["lymphocyte"] * 7 + ["neutrophil"] * 3,
    ["neutrophil"] * 8 + ["eosinophil", "basophil"],
    ["neutrophil"] * 5 + ["lymphocyte"] * 4 + ["blast"],
    ["blast"] * 6 + ["lymphocyte"] * 4,
    ["promyelocyte"] * 6 + ["neutrophil"] * 4,
    ["monocyte"] * 4 + ["neutrophil"] * 6,
    ["neutrophil"] * 9 + ["platelet"],
)


def seed(*, cases: int, images: int) -> Laboratory:
    """Fill the empty, migrated database; answers the laboratory, whose pathologists are `PATHOLOGISTS`."""
    laboratory = Laboratory.objects.create(name="Bench Laboratory", slug="bench")
    password = make_password(None)
    people = [User(email=f"person-{n}@bench.example", full_name=f"{FORENAMES[n]} Bench", password=password)
              for n in range(PATHOLOGISTS + 1)]  # fmt: skip
    people = User.objects.bulk_create(people)
    technician, first = people[-1].pk, people[0].pk
    roles = [Role.PATHOLOGIST] * PATHOLOGISTS + [Role.TECHNICIAN]
    Membership.objects.bulk_create(
        Membership(user=person, laboratory=laboratory, role=role) for person, role in zip(people, roles, strict=True)
    )
    releases = [
        ModelRelease.objects.create(task="cell", network=network, version="2.0.0", digest=network, bundle=network).pk
        for network in ("cnn", "mobilenet")
    ]
    each = images // cases
    smears = [_smear(labels, each, decided) for decided in (False, True) for labels in SMEARS]
    with connection.cursor() as cursor, _in_bulk(cursor):
        sql = _Sql(cursor)
        sql.arrays(
            forenames=("text", FORENAMES), stems=("text", STEMS), ends=("text", ENDS),
            labels=("text", [label for labels in SMEARS for label in _shown(labels, each)]),
            assessments=("jsonb", [json.dumps(smear) for smear in smears]),
            probabilities=("jsonb", [json.dumps(_probabilities(label)) for label in TASKS["cell"]]),
            classes=("text", list(TASKS["cell"])), diagnoses=("text", list(DIAGNOSES)),
        )  # fmt: skip
        sql.insert(
            Patient, f"generate_series(1, {cases * 4 // 5}) g",
            laboratory_id=laboratory.pk, created_at="now() - interval '2 years'",
            mrn="lpad((g * 7919 % 10000000)::text, 7, '0')",
            name=f"{{stems}}[1 + {_drawn('g', len(STEMS))}] || {{ends}}[1 + {_drawn('g + 1000000', len(ENDS))}]"
            f" || ', ' || {{forenames}}[1 + {_drawn('g + 2000000', len(FORENAMES))}]",
            birth_date="date '1930-01-01' + (g * 37 % 30000)::int",
        )  # fmt: skip
        is_open = f"(g > {cases} - {cases // OPEN_IN})"
        sort = f"(1 + g % {len(SMEARS)} + CASE WHEN {is_open} AND g % 3 > 0 THEN 0 ELSE {len(SMEARS)} END)"
        case_of, place = f"(1 + (g - 1) / {each})", f"((g - 1) % {each})"
        opened, signed = _times("g", cases)
        # Each image comes a second after the one before it, is read within half a minute, and is decided on in the
        # quarter of an hour before its case is signed.
        its_case_opened, its_case_signed = _times(case_of, cases)
        uploaded = f"({its_case_opened} + interval '1 second' * {place})"
        decided = f"({its_case_signed} - interval '15 minutes' * ({each} - {place}) / {each})"
        sql.insert(
            Case, f"generate_series(1, {cases}) g",
            laboratory_id=laboratory.pk, patient_id=f"1 + {_drawn('g', cases * 4 // 5)}",
            accession_number="'ACC-' || 20 + g / 20000 || '-' || lpad(g::text, 6, '0')",
            priority="CASE WHEN g % 12 = 0 THEN 'urgent' ELSE 'routine' END", created_by_id=technician,
            created_at=opened, due_at=f"{opened} + CASE WHEN g % 12 = 0 THEN interval '4 h' ELSE interval '48 h' END",
            clinical_question="'Leucocytosis of unknown origin. Blasts?'", assessed_at=f"{opened} + interval '1 h'",
            status=f"CASE WHEN NOT {is_open} THEN 'signed' WHEN g % 50 = 1 THEN 'reading'"
            f" WHEN g % 3 = 0 THEN 'reviewed' WHEN g % 200 = 2 THEN 'attention' ELSE 'ready' END",
            held_by_id=f"CASE WHEN NOT {is_open} OR g % 4 = 0 THEN {first} + g % {PATHOLOGISTS} END",
            held_at=f"CASE WHEN NOT {is_open} OR g % 4 = 0 THEN {opened} + interval '2 h' END",
            signed_at=f"CASE WHEN NOT {is_open} THEN {signed} END",
            report_version=f"CASE WHEN {is_open} THEN 0 ELSE 1 END",
            image_count=each, malignant=f"({{assessments}}[{sort}] #>> '{{malignant,value}}')::float",
            assessment=f"{{assessments}}[{sort}]",
        )  # fmt: skip
        sql.insert(
            CaseFlag,
            f"{Case._meta.db_table} c CROSS JOIN LATERAL jsonb_array_elements(c.assessment -> 'flags') f",
            case_id="c.id", code="f ->> 'code'", level="f ->> 'level'",
        )  # fmt: skip
        label = f"{{labels}}[1 + (1 + (g - 1) / {each}) % {len(SMEARS)} * {each} + (g - 1) % {each}]"
        sql.insert(
            SmearImage, f"generate_series(1, {cases * each}) g",
            case_id=case_of, kind="'cell'", kind_source="'told'", kind_confidence="0.99",
            original_name="'smear-' || g || '.jpg'", received_sha256="md5(g::text) || md5('r' || g)",
            stored_sha256="md5('s' || g) || md5('t' || g)", file="'images/' || md5('s' || g) || '.jpg'",
            format="'JPEG'", received_format="'JPEG'", byte_size="48000", width="192", height="192", via="'api'",
            quality="'{\"focus\": 0.8, \"brightness\": 0.7, \"contrast\": 0.4, \"warnings\": []}'::jsonb",
            um_per_pixel="0.1", uploaded_by_id=technician,
            uploaded_at=uploaded,
        )  # fmt: skip
        sql.insert(
            Analysis,
            f"generate_series(1, {cases * each}) g, unnest(ARRAY{releases}) release,"
            f" LATERAL (SELECT array_position({{classes}}, {label}) AS class) l",
            image_id="g", release_id="release", state="'done'", attempts="1", engine="'onnxruntime'",
            worker="'worker-1'", seconds="0.02", novelty="0.2", novel="false", queued_at=uploaded,
            started_at=f"{uploaded} + interval '20 seconds'", finished_at=f"{uploaded} + interval '21 seconds'",
            probabilities="{probabilities}[l.class]",
            malignant=f"CASE WHEN {label} IN ('blast', 'promyelocyte') THEN 0.95 ELSE 0.02 END",
        )  # fmt: skip
        sql.insert(
            Decision, f"generate_series(1, {(cases - cases // OPEN_IN) * each}) g",
            image_id="g", verdict="'agree'", label=label, reading_label=label,
            decided_by_id=f"{first} + {case_of} % {PATHOLOGISTS}", decided_at=decided,
        )  # fmt: skip
        sql.insert(
            AuditEvent, f"generate_series(1, {cases}) g, generate_series(1, 6) n",
            laboratory_id=laboratory.pk, case_id="g", sequence="n", at=f"{opened} + interval '10 minutes' * n",
            actor_id=f"{first} + g % {PATHOLOGISTS}", actor_label="'Anna Bench'",
            action="(ARRAY['case.created','image.accepted','case.claimed','case.read','image.decided','case.read'])[n]",
            subject="'case ' || g", previous_hash="md5('p' || g || n)", hash="md5('h' || g || n)",
        )  # fmt: skip
        sql.insert(
            ClinicalData, f"generate_series(1, {cases}) g",
            case_id="g", wbc="4 + g % 60", haemoglobin="8 + g % 9", platelets="40 + g % 300",
            updated_by_id=technician, updated_at=f"{opened} + interval '30 minutes'",
        )  # fmt: skip
        sql.insert(
            Report, f"generate_series(1, {cases - cases // OPEN_IN}) g",
            case_id="g", version="1", kind="'original'", content_hash="md5('c' || g) || md5('d' || g)", pdf="''::bytea",
            pdf_sha256="md5('f' || g) || md5('e' || g)", signed_by_id=f"{first} + g % {PATHOLOGISTS}",
            content=f"""jsonb_build_object('comment', '', 'diagnosis', jsonb_build_object('shown', 'AML'), 'images',
                (SELECT jsonb_agg(jsonb_build_object('id', i))
                 FROM generate_series(g * {each} - {each - 1}, g * {each}) i))""",  # noqa: S608
            signed_at=signed, signed_with="'password'",
        )  # fmt: skip
        diagnosis = f"{{diagnoses}}[1 + {_drawn('g', len(DIAGNOSES))}]"
        sql.insert(
            SecondOpinion, f"generate_series(20, {cases}, 20) g",
            case_id="g", asked_by_id=f"{first} + g % {PATHOLOGISTS}", asked_of_id=f"{first} + (g + 1) % {PATHOLOGISTS}",
            first_diagnosis=diagnosis, diagnosis=f"CASE WHEN {is_open} THEN '' ELSE {diagnosis} END",
            state=f"CASE WHEN {is_open} THEN 'asked' ELSE 'answered' END", asked_at=f"{opened} + interval '35 minutes'",
            ended_at=f"CASE WHEN {is_open} THEN NULL ELSE {opened} + interval '40 minutes' END",
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    return laboratory


class _Sql:
    """Writes INSERT … SELECT; `{name}` in an expression is the array of that name."""

    def __init__(self, cursor: Any) -> None:
        self.cursor, self.known = cursor, dict[str, str]()

    def arrays(self, **arrays: tuple[str, list[str]]) -> None:
        for name, (kind, values) in arrays.items():
            self.cursor.execute(f"CREATE TEMP TABLE a_{name} AS SELECT %s::{kind}[] AS v", [values])
            self.known[name] = f"(SELECT v FROM a_{name})"  # noqa: S608

    def insert(self, model: type[models.Model], source: str, **given: Any) -> None:
        """What is not given gets the field's default, NULL or an empty text."""
        names, expressions = [], []
        for field in model._meta.concrete_fields:
            if field.column in given:
                expression = self._filled(str(given.pop(field.column)))
            elif isinstance(field, models.AutoField):
                continue
            else:
                value = field.get_default() if field.has_default() else None if field.null else ""
                expression = self.cursor.mogrify("%s", [field.get_db_prep_save(value, connection)]).decode()
            names.append(f'"{field.column}"')
            expressions.append(expression)
        if given:
            raise TypeError(f"{model.__name__} has no {', '.join(given)}")
        table = model._meta.db_table
        self.cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(expressions)} "  # noqa: S608
            f"FROM {self._filled(source)}"
        )

    def _filled(self, expression: str) -> str:
        for name, array in self.known.items():
            expression = expression.replace(f"{{{name}}}", array)
        return expression


@contextmanager
def _in_bulk(cursor: Any) -> Iterator[None]:
    """No foreign keys looked up, no triggers, indexes built at the end: for a superuser of a throw-away cluster."""
    cursor.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname LIKE 'diagnosis_%%'"
        " AND NOT i.indisunique AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)"
    )
    indexes = cursor.fetchall()
    cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '64MB'")
    cursor.execute("SET maintenance_work_mem = '512MB'")
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)
    cursor.execute("RESET session_replication_role; RESET work_mem; RESET maintenance_work_mem")


def _times(case: str, cases: int) -> tuple[str, str]:
    """Expressions: when a case was opened, one each five minutes and the last one now, and when it was signed."""
    opened = f"(now() - interval '1 minute' * ({cases} - {case}) * 5)"
    return opened, f"least({opened} + interval '1 minute' * (60 + {case} % 2400), now())"


def _drawn(seed: str, below: int) -> str:
    """An expression: a number from 0 that looks drawn at random, always the same for the same seed."""
    return f"(hashint4(({seed})::int)::bigint + 2147483648) % {below}"


def _shown(labels: list[str], each: int) -> list[str]:
    return [labels[n % len(labels)] for n in range(each)]


def _probabilities(label: str) -> dict[str, float]:
    classes = TASKS["cell"]
    return {name: 0.9 if name == label else round(0.1 / (len(classes) - 1), 5) for name in classes}


def _smear(labels: list[str], each: int, decided: bool) -> dict[str, Any]:
    images = tuple(
        ImageEvidence(
            id=number, kind="cell", status="done", label=label, probabilities=_probabilities(label),
            malignant=0.95 if label in MALIGNANT["cell"] else 0.02, agree=label != "monocyte",
            decision=label if decided else None,
        )
        for number, label in enumerate(_shown(labels, each), start=1)
    )  # fmt: skip
    return assess(Evidence("peripheral_blood", images)).to_dict()
