import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F

EVENTS = [
    ("case_alarm", "A case shows an alarm (blasts, promyelocytes)"),
    ("case_urgent", "An urgent case is ready for review"),
    ("case_late", "A case that I hold passes its target time"),
    ("case_taken", "A colleague takes over a case that I hold"),
    ("reading_failed", "A reading failed for good in a case"),
    ("opinion_asked", "A colleague asks for my opinion"),
    ("opinion_ended", "My request for an opinion was answered or declined"),
    ("adjudication_needed", "Two opinions differ and need an adjudicator"),
    ("report_signed", "A report that concerns me is signed or amended"),
    ("batch_finished", "A batch that I opened is read"),
    ("batch_stalled", "A batch that I opened stands still: no worker is there"),
]


def told_already(apps, schema_editor):
    """Batches that were finished before anybody was told of batches are not told now."""
    apps.get_model("diagnosis", "Batch").objects.filter(finished_at__isnull=False).update(told_at=F("finished_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0010_kept_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="told_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="batch",
            name="stall_told_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="notice",
            name="batch",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="diagnosis.batch"
            ),
        ),
        migrations.AlterField(
            model_name="notice",
            name="event",
            field=models.CharField(choices=EVENTS, max_length=24),
        ),
        migrations.AlterField(
            model_name="noticechoice",
            name="event",
            field=models.CharField(choices=EVENTS, max_length=24),
        ),
        migrations.RunPython(told_already, migrations.RunPython.noop),
    ]
