import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0012_labels'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReadingTally',
            fields=[
                ('release', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='diagnosis.modelrelease')),
                ('until', models.DateTimeField()),
                ('done', models.PositiveBigIntegerField()),
            ],
            options={
                'verbose_name_plural': 'reading tallies',
            },
        ),
    ]
