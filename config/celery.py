"""The Celery application: Redis (or files, embedded) only wakes workers; the database is the queue of record."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("leukolens")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["diagnosis"])
