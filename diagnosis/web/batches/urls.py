"""The routes of batches, the tray, and resumable uploads."""

from django.urls import URLPattern, path

from diagnosis.web import tus
from diagnosis.web.batches import pages, tray

urlpatterns: list[URLPattern] = [
    path("uploads/", tus.uploads, name="uploads"),
    path("uploads/<uuid:upload>/", tus.upload, name="upload"),
    path("batches/", pages.batch_list, name="batch-list"),
    path("batches/rules/", pages.rules, name="batch-rules"),
    path("batches/<int:batch_id>/", pages.batch, name="batch"),
    path("batches/<int:batch_id>/live/", pages.batch_live, name="batch-live"),
    path("batches/<int:batch_id>/files/", pages.batch_files, name="batch-files"),
    path("batches/<int:batch_id>/list/", pages.batch_manifest, name="batch-manifest"),
    path("batches/<int:batch_id>/match/", pages.batch_match, name="batch-match"),
    path("batches/<int:batch_id>/retry/", pages.batch_retry, name="batch-retry"),
    path("batches/<int:batch_id>/outcomes.csv", pages.batch_outcomes, name="batch-outcomes"),
    path("tray/", tray.tray, name="tray"),
    path("tray/<int:file_id>/thumb", tray.thumb, name="tray-thumb"),
]
