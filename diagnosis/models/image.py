from django.conf import settings
from django.db import models
from django.utils import timezone

from diagnosis.models.case import Case

#: Of the stored file, by its format; TIFF and BMP are stored as PNG.
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


class SmearImage(models.Model):
    """One stored picture of a case. Written only by `diagnosis.intake`."""

    class Kind(models.TextChoices):
        FIELD = "field", "Field"
        CELL = "cell", "Single cell"

    class KindSource(models.TextChoices):
        GIVEN = "given", "Given at upload"
        TOLD = "told", "Told from the picture"
        CORRECTED = "corrected", "Corrected by a person"

    class Via(models.TextChoices):
        PAGE = "page", "Page"
        API = "api", "API"
        COMMAND = "command", "Command line"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="images")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    kind_source = models.CharField(max_length=10, choices=KindSource.choices)
    kind_confidence = models.FloatField(null=True, blank=True)  # 0.5–1, only where told from the picture
    original_name = models.CharField(max_length=255)
    received_sha256 = models.CharField(max_length=64)  # of the bytes as they arrived
    stored_sha256 = models.CharField(max_length=64)  # of the bytes as stored: metadata taken out
    file = models.FileField(max_length=200, upload_to="")  # content-addressed, see intake
    format = models.CharField(max_length=8)  # of the stored file: JPEG, PNG, WEBP
    received_format = models.CharField(max_length=8)
    byte_size = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()  # px, as displayed (EXIF orientation applied)
    height = models.PositiveIntegerField()
    um_per_pixel = models.FloatField(null=True, blank=True)
    quality = models.JSONField(default=dict)  # mlcore.images.Quality as a dict, "warnings" among it
    seen_in_other_case = models.BooleanField(default=False)  # the same bytes stand in another case of the laboratory
    via = models.CharField(max_length=10, choices=Via.choices)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "received_sha256"], name="bytes_once_per_case")]
        indexes = [models.Index(fields=["received_sha256"], name="image_by_received_hash")]
        ordering = ["id"]

    def __str__(self) -> str:
        return self.original_name
