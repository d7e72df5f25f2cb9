"""The routes of labels."""

from django.urls import URLPattern, path

from diagnosis.web.labels import views

urlpatterns: list[URLPattern] = [
    path("labels/", views.labels, name="labels"),
    path("labels/settings/", views.label_settings, name="label-settings"),
]
