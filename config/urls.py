"""Where each door is. Rooms bring their own routes; this page only hangs them."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/", include("accounts.urls")),
    path("api/v1/", include("diagnosis.api.urls")),
    path("fhir/R4/", include("diagnosis.fhir.urls")),
    path("", include("diagnosis.web.urls")),
    path("", include("diagnosis.web.batches.urls")),
    path("", include("diagnosis.web.labels.urls")),
    path("", include("diagnosis.health")),
]
