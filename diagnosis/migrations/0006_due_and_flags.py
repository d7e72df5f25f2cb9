"""What older cases lack: the time they are due, by their laboratory's targets, and the rows of their flags."""

from datetime import timedelta

from django.db import migrations


def fill(apps, schema_editor):
    Case, CaseFlag = apps.get_model("diagnosis", "Case"), apps.get_model("diagnosis", "CaseFlag")
    for case in Case.objects.select_related("laboratory").filter(due_at=None).iterator(chunk_size=1000):
        hours = case.laboratory.urgent_hours if case.priority == "urgent" else case.laboratory.routine_hours
        Case.objects.filter(pk=case.pk).update(due_at=case.created_at + timedelta(hours=hours))
        flags = {flag["code"]: flag["level"] for flag in case.assessment.get("flags", [])}
        CaseFlag.objects.bulk_create(CaseFlag(case=case, code=code, level=level) for code, level in flags.items())


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0005_desk"), ("accounts", "0002_laboratory_particulars")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
