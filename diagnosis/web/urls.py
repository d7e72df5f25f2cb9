"""The pages' routes."""

from django.urls import URLPattern, path

from diagnosis.web import cases, images, new_case, pictures, uploads
from diagnosis.web.releases import views as releases

urlpatterns: list[URLPattern] = [
    path("", cases.case_list, name="case-list"),
    path("cases/new/", new_case.case_new, name="case-new"),
    path("cases/new/patient/", new_case.case_patient, name="case-patient"),
    path("cases/<int:case_id>/", cases.case, name="case"),
    path("cases/<int:case_id>/live/", cases.case_live, name="case-live"),
    path("cases/<int:case_id>/history/", cases.case_history, name="case-history"),
    path("cases/<int:case_id>/images/", uploads.case_upload, name="case-upload"),
    path("images/<int:image_id>/", images.image, name="image"),
    path("images/<int:image_id>/decide/", images.image_decide, name="image-decide"),
    path("images/<int:image_id>/retry/", images.image_retry, name="image-retry"),
    path("images/<int:image_id>/kind/", images.image_kind, name="image-kind"),
    path("images/<int:image_id>/file", pictures.image_file, name="image-file"),
    path("images/<int:image_id>/thumb", pictures.image_thumb, name="image-thumb"),
    path("images/<int:image_id>/heat/<int:analysis_id>.png", pictures.image_heat, name="image-heat"),
    path("models/", releases.model_list, name="model-list"),
    path("models/<int:release_id>/", releases.model, name="model"),
    path("models/<int:release_id>/report.json", releases.model_report, name="model-report"),
]
