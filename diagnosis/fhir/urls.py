"""Below `/fhir/R4/`. Ids are texts here; what is none of ours is a 404 like one that does not exist."""

from django.urls import URLPattern, path, re_path

from diagnosis.fhir import capability, views

app_name = "fhir"
urlpatterns: list[URLPattern] = [path("metadata", views.MetadataView.as_view(), name="metadata")]
for module in capability.TYPES:
    name = module.TYPE
    urlpatterns += [
        path(f"{name}", views.SearchView.as_view(module=module), name=f"{name}-search"),
        path(f"{name}/_search", views.SearchFormView.as_view(module=module), name=f"{name}-search-form"),
        path(f"{name}/<str:resource_id>", views.ReadView.as_view(module=module), name=name),
    ]
urlpatterns += [
    path("Binary/<str:resource_id>", views.BinaryView.as_view(), name="Binary"),
    re_path("", views.UnknownView.as_view(), name="unknown"),
]
