"""The routes of batches, the tray, and resumable uploads."""

from django.urls import URLPattern, path

from diagnosis.web import tus

urlpatterns: list[URLPattern] = [
    path("uploads/", tus.uploads, name="uploads"),
    path("uploads/<uuid:upload>/", tus.upload, name="upload"),
]
