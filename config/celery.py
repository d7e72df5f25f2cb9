"""The Celery application: Redis (or files, embedded) only wakes workers; the database is the queue of record."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("leukolens")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": settings.BROKER_VISIBILITY},
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_serializer="json",
    accept_content=["json"],
    task_soft_time_limit=settings.ANALYSIS_SOFT_LIMIT,
    task_time_limit=settings.ANALYSIS_HARD_LIMIT,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    beat_schedule={
        "sweep": {
            "task": "diagnosis.tasks.sweep",
            "schedule": settings.SWEEP_EVERY,
            "options": {"expires": settings.SWEEP_EVERY},
        }
    },
    timezone="UTC",
)
if settings.BROKER_URL.startswith("filesystem"):
    wires = settings.VAR / "broker"
    for folder in ("messages", "control"):
        (wires / folder).mkdir(parents=True, exist_ok=True)
    app.conf.broker_transport_options = {
        "data_folder_in": str(wires / "messages"),
        "data_folder_out": str(wires / "messages"),
        "control_folder": str(wires / "control"),
        "store_processed": False,
    }
app.autodiscover_tasks(["diagnosis"])
