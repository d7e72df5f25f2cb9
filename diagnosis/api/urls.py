"""Below `/api/v1/`."""

from django.urls import URLPattern, path, re_path

from diagnosis.api.views import about, batches, cases, clinical, decisions, export, images, patients, reports

app_name = "api"
urlpatterns: list[URLPattern] = [
    path("cases/", cases.CasesView.as_view(), name="cases"),
    path("cases/<int:case_id>/", cases.CaseView.as_view(), name="case"),
    path("cases/<int:case_id>/claim/", cases.CaseClaimView.as_view(), name="case-claim"),
    path("cases/<int:case_id>/release/", cases.CaseReleaseView.as_view(), name="case-release"),
    path("cases/<int:case_id>/clinical/", clinical.CaseClinicalView.as_view(), name="case-clinical"),
    path("cases/<int:case_id>/decisions/", decisions.CaseDecisionsView.as_view(), name="case-decisions"),
    path("cases/<int:case_id>/decisions/undo/", decisions.CaseUndoView.as_view(), name="case-undo"),
    path("cases/<int:case_id>/decisions/redo/", decisions.CaseRedoView.as_view(), name="case-redo"),
    path("cases/<int:case_id>/images/", cases.CaseImagesView.as_view(), name="case-images"),
    path("cases/<int:case_id>/images/batch/", cases.CaseImageBatchView.as_view(), name="case-image-batch"),
    path("cases/<int:case_id>/history/", cases.CaseHistoryView.as_view(), name="case-history"),
    path("cases/<int:case_id>/reports/", reports.CaseReportsView.as_view(), name="case-reports"),
    path("cases/<int:case_id>/reports/<int:version>/", reports.CaseReportView.as_view(), name="case-report"),
    path("cases/<int:case_id>/reports/<int:version>/pdf/", reports.CaseReportPdfView.as_view(), name="case-report-pdf"),
    path("images/<int:image_id>/", images.ImageView.as_view(), name="image"),
    path("images/<int:image_id>/file/", images.ImageFileView.as_view(), name="image-file"),
    path("images/<int:image_id>/decision/", images.ImageDecisionView.as_view(), name="image-decision"),
    path("images/<int:image_id>/retry/", images.ImageRetryView.as_view(), name="image-retry"),
    path("patients/", patients.PatientsView.as_view(), name="patients"),
    path("patients/<int:patient_id>/", patients.PatientView.as_view(), name="patient"),
    path("batches/", batches.BatchesView.as_view(), name="batches"),
    path("batches/<int:batch_id>/", batches.BatchView.as_view(), name="batch"),
    path("batches/<int:batch_id>/manifest/", batches.BatchManifestView.as_view(), name="batch-manifest"),
    path("batches/<int:batch_id>/match/", batches.BatchMatchView.as_view(), name="batch-match"),
    path("batches/<int:batch_id>/retry/", batches.BatchRetryView.as_view(), name="batch-retry"),
    path("batches/<int:batch_id>/files/", batches.BatchFilesView.as_view(), name="batch-files"),
    path("batches/<int:batch_id>/files/<int:file_id>/", batches.BatchFileView.as_view(), name="batch-file"),
    path("batches/<int:batch_id>/files/<int:file_id>/assign/", batches.FileAssignView.as_view(), name="file-assign"),
    path("batches/<int:batch_id>/files/<int:file_id>/discard/", batches.FileDiscardView.as_view(), name="file-discard"),
    path("batches/<int:batch_id>/files/<int:file_id>/retry/", batches.FileRetryView.as_view(), name="file-retry"),
    path("export/", export.ExportView.as_view(), name="export"),
    path("export/file/", export.ExportFileView.as_view(), name="export-file"),
    path("models/", about.ModelsView.as_view(), name="models"),
    path("me/", about.MeView.as_view(), name="me"),
    path("schema/", about.SchemaView.as_view(), name="schema"),
    path("docs/", about.DocsView.as_view(), name="docs"),
    re_path("", about.UnknownView.as_view(), name="unknown"),
]
