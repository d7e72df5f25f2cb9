"""The database itself refuses to change or delete a signed report, whoever asks.

A later migration that rebuilds `diagnosis_report` on SQLite must end with `install` again, as with the audit
(`docs/audit.md`); `tests/diagnosis/test_reports_immutable.py` looks.
"""

from django.db import migrations, models

SQLITE = {
    "report_no_update": "BEFORE UPDATE ON diagnosis_report BEGIN "
    "SELECT RAISE(ABORT, 'A signed report is immutable: UPDATE refused'); END",
    "report_no_delete": "BEFORE DELETE ON diagnosis_report BEGIN "
    "SELECT RAISE(ABORT, 'A signed report is immutable: DELETE refused'); END",
    # INSERT OR REPLACE deletes the row it displaces without firing the trigger above.
    "report_no_replace": "BEFORE INSERT ON diagnosis_report WHEN EXISTS ("
    "SELECT 1 FROM diagnosis_report old WHERE old.id = NEW.id OR old.content_hash = NEW.content_hash"
    " OR (old.case_id = NEW.case_id AND old.version = NEW.version)) BEGIN "
    "SELECT RAISE(ABORT, 'A signed report is immutable: this version stands already'); END",
}

POSTGRESQL = (
    """
    CREATE FUNCTION diagnosis_report_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'A signed report is immutable: % refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    "CREATE TRIGGER report_no_change BEFORE UPDATE OR DELETE ON diagnosis_report"
    " FOR EACH ROW EXECUTE FUNCTION diagnosis_report_immutable()",
    "CREATE TRIGGER report_no_truncate BEFORE TRUNCATE ON diagnosis_report"
    " FOR EACH STATEMENT EXECUTE FUNCTION diagnosis_report_immutable()",
    # ALWAYS: they fire under session_replication_role = replica too.
    "ALTER TABLE diagnosis_report ENABLE ALWAYS TRIGGER report_no_change",
    "ALTER TABLE diagnosis_report ENABLE ALWAYS TRIGGER report_no_truncate",
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
        schema_editor.execute("DROP FUNCTION IF EXISTS diagnosis_report_immutable() CASCADE", None)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0006_due_and_flags")]
    operations = [
        migrations.AlterField("case", "due_at", models.DateTimeField(editable=False)),
        migrations.RunPython(install, remove),
    ]
