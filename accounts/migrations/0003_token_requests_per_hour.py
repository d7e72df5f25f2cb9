from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_laboratory_particulars'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='requests_per_hour',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
    ]
