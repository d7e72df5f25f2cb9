"""The database itself refuses to change or delete what the audit has written, whoever asks.

Read `docs/audit.md` before touching `diagnosis_auditevent` in a later migration: SQLite drops a table's triggers
when Django rebuilds it, so that migration must end with `install` again (`tests/diagnosis/test_audit.py` looks).
"""

from django.db import migrations

SQLITE = {
    "audit_no_update": "BEFORE UPDATE ON diagnosis_auditevent BEGIN "
    "SELECT RAISE(ABORT, 'The audit is append-only: UPDATE refused'); END",
    "audit_no_delete": "BEFORE DELETE ON diagnosis_auditevent BEGIN "
    "SELECT RAISE(ABORT, 'The audit is append-only: DELETE refused'); END",
    # INSERT OR REPLACE deletes the row it displaces without firing the trigger above.
    "audit_no_replace": "BEFORE INSERT ON diagnosis_auditevent WHEN EXISTS ("
    "SELECT 1 FROM diagnosis_auditevent old WHERE old.id = NEW.id OR (old.sequence = NEW.sequence AND ("
    "old.case_id = NEW.case_id OR (old.case_id IS NULL AND NEW.case_id IS NULL"
    " AND old.laboratory_id = NEW.laboratory_id)))) BEGIN "
    "SELECT RAISE(ABORT, 'The audit is append-only: this event stands already'); END",
}

POSTGRESQL = (
    """
    CREATE FUNCTION diagnosis_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'The audit is append-only: % refused', TG_OP USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON diagnosis_auditevent"
    " FOR EACH ROW EXECUTE FUNCTION diagnosis_audit_append_only()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON diagnosis_auditevent"
    " FOR EACH STATEMENT EXECUTE FUNCTION diagnosis_audit_append_only()",
    # ALWAYS: they fire under session_replication_role = replica too.
    "ALTER TABLE diagnosis_auditevent ENABLE ALWAYS TRIGGER audit_no_change",
    "ALTER TABLE diagnosis_auditevent ENABLE ALWAYS TRIGGER audit_no_truncate",
)


def install(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name, body in SQLITE.items():
            schema_editor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {body}", None)
    else:
        for statement in POSTGRESQL:
            schema_editor.execute(statement, None)


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name in SQLITE:
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}", None)
    else:
        schema_editor.execute("DROP FUNCTION IF EXISTS diagnosis_audit_append_only() CASCADE", None)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
