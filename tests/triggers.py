"""Lets the test runner empty the database although the audit is append-only and signed reports are immutable.

Only this fixture does so: it takes the triggers off for the moment of Django's flush between transactional tests,
as the owner of the tables, and puts them on again. The product has no such door.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations

from diagnosis.audit import TRIGGERS

#: Table → its triggers on PostgreSQL.
GUARDED = {
    "diagnosis_auditevent": TRIGGERS["postgresql"],
    "diagnosis_report": ("report_no_change", "report_no_truncate"),
}


@contextlib.contextmanager
def triggers_lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """The triggers that refuse are off inside the block and on after it."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND (name LIKE 'audit_no_%' "
                "OR name LIKE 'report_no_%')"
            )
            triggers = dict(cursor.fetchall())
            for name in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
        else:
            connection.check_constraints()  # PostgreSQL alters no table with checks still to be made
            for table in GUARDED:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                for sql in triggers.values():
                    cursor.execute(sql)
            else:
                connection.check_constraints()
                for table, names in GUARDED.items():
                    for name in names:
                        cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


@pytest.fixture(scope="session", autouse=True)
def flush_past_the_triggers() -> Iterator[None]:
    real = BaseDatabaseOperations.execute_sql_flush

    def flush(self: BaseDatabaseOperations, sql_list: Any) -> None:
        with triggers_lifted(self.connection):
            real(self, sql_list)

    with mock.patch.object(BaseDatabaseOperations, "execute_sql_flush", flush):
        yield
