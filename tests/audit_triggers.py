"""Lets the test runner empty the database although the audit is append-only.

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


@contextlib.contextmanager
def audit_triggers_lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """The append-only triggers are off inside the block and on after it."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_no_%'")
            triggers = dict(cursor.fetchall())
            for name in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
        else:
            connection.check_constraints()  # PostgreSQL alters no table with checks still to be made
            cursor.execute("ALTER TABLE diagnosis_auditevent DISABLE TRIGGER USER")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                for sql in triggers.values():
                    cursor.execute(sql)
            else:
                connection.check_constraints()
                for name in TRIGGERS["postgresql"]:
                    cursor.execute(f"ALTER TABLE diagnosis_auditevent ENABLE ALWAYS TRIGGER {name}")


@pytest.fixture(scope="session", autouse=True)
def flush_past_the_audit_triggers() -> Iterator[None]:
    real = BaseDatabaseOperations.execute_sql_flush

    def flush(self: BaseDatabaseOperations, sql_list: Any) -> None:
        with audit_triggers_lifted(self.connection):
            real(self, sql_list)

    with mock.patch.object(BaseDatabaseOperations, "execute_sql_flush", flush):
        yield
