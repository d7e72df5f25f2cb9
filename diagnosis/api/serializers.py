"""What the API answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.permissions import Action, Actor
from diagnosis.api.schema import ResearchUseField
from diagnosis.api.throttling import TokenThrottle
from diagnosis.models import Analysis, AuditEvent, Case, Decision, ModelRelease, Patient, SmearImage

#: How many image summaries a case's own answer holds; `cases/{id}/images/` has them all, in pages.
IMAGES_WITHIN_CASE = 100


class PatientBriefSerializer(serializers.ModelSerializer[Patient]):
    class Meta:
        model = Patient
        fields = ["id", "mrn", "name"]
        read_only_fields = fields


class PatientSerializer(serializers.ModelSerializer[Patient]):
    class Meta:
        model = Patient
        fields = ["id", "mrn", "name", "birth_date", "sex", "clinical_notes", "created_at"]
        read_only_fields = fields


class OpinionSerializer(serializers.ModelSerializer[Analysis]):
    """One network on one image."""

    task = serializers.CharField(source="release.task")
    network = serializers.CharField(source="release.network", help_text="`cnn` or `mobilenet`.")
    version = serializers.CharField(source="release.version")
    digest = serializers.CharField(source="release.digest", help_text="SHA-256 of the model.")
    probabilities = serializers.DictField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="Calibrated, by class, summing to 1; null until it is done.",
    )
    malignant = serializers.FloatField(allow_null=True, help_text="Probability of a malignant class, 0 to 1.")
    novelty = serializers.FloatField(
        allow_null=True, help_text="0 to 1: how unlike the pictures that the network was trained on."
    )
    novel = serializers.BooleanField(allow_null=True, help_text="Whether that is beyond the network's threshold.")
    error = serializers.CharField(help_text="The last failure in words, or empty.")

    class Meta:
        model = Analysis
        fields = [
            "id", "task", "network", "version", "digest", "state", "probabilities", "malignant", "novelty", "novel",
            "engine", "seconds", "attempts", "error", "queued_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class ReadingSerializer(serializers.Serializer[Any]):
    """Both networks' opinions taken together."""

    label = serializers.CharField(help_text="The leading class.")  # type: ignore[assignment]
    probability = serializers.FloatField(help_text="Of that class.")
    malignant = serializers.FloatField(help_text="Probability of a malignant class, 0 to 1.")
    agree = serializers.BooleanField(help_text="Whether the networks name the same class.")
    novelty = serializers.FloatField(help_text="0 to 1: how unlike the pictures that the networks were trained on.")
    warnings = serializers.ListField(child=serializers.CharField())
    needs_person = serializers.BooleanField(help_text="Whether it should not be relied on unseen.")


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """What a person said of an image."""

    decided_by = serializers.StringRelatedField[Any]()

    class Meta:
        model = Decision
        fields = ["id", "verdict", "label", "reading_label", "comment", "decided_by", "decided_at"]
        read_only_fields = fields


class LeftSerializer(serializers.Serializer[Any]):
    """An image that a step left as it is."""

    image = serializers.IntegerField()
    code = serializers.CharField(help_text="`decided_meanwhile`, `reading_changed`, `nothing_read`, `label_unknown`, …")
    detail = serializers.CharField()
    decision = serializers.IntegerField(allow_null=True, help_text="The decision that stands instead, if one does.")


class DecisionOfImageSerializer(DecisionSerializer):
    image = serializers.IntegerField(source="image_id")

    class Meta(DecisionSerializer.Meta):
        fields = ["image", *DecisionSerializer.Meta.fields]


class StepSerializer(serializers.Serializer[Any]):
    """What became of a step, from the `review.Outcome` and the `review.Steps`."""

    step = serializers.UUIDField()
    saved = DecisionOfImageSerializer(many=True)
    refused = LeftSerializer(many=True, help_text="Left as they are, each with why.")
    undoes_next = serializers.UUIDField(allow_null=True, help_text="The step of yours that undo would take back now.")
    redoes_next = serializers.UUIDField(allow_null=True, help_text="The undoing of yours that redo would take back.")
    research_use_only = ResearchUseField()

    def to_representation(self, taken: Any) -> dict[str, Any]:
        outcome, steps = taken
        left = [
            {
                "image": pk,
                "code": error.code,
                "detail": error.message,
                "decision": error.decision.pk if getattr(error, "decision", None) else None,
            }
            for pk, error in outcome.refused.items()
        ]
        return dict(
            super().to_representation(
                {
                    "step": outcome.step,
                    "saved": outcome.saved,
                    "refused": left,
                    "undoes_next": steps.done[-1] if steps.done else None,
                    "redoes_next": steps.undone[-1] if steps.undone else None,
                }
            )
        )


class QualitySerializer(serializers.Serializer[Any]):
    """How good a picture it is, measured when it arrived."""

    focus = serializers.FloatField()
    brightness = serializers.FloatField()
    contrast = serializers.FloatField()
    saturation = serializers.FloatField()
    stained = serializers.FloatField()
    warnings = serializers.ListField(child=serializers.CharField())


class ImageBriefSerializer(serializers.Serializer[Any]):
    """An image in a list, from a `worklist.ImageRow`."""

    id = serializers.IntegerField(source="image.id")
    name = serializers.CharField(source="image.original_name")
    kind = serializers.ChoiceField(SmearImage.Kind.choices, source="image.kind")
    status = serializers.ChoiceField(Analysis.State.choices)
    reading = ReadingSerializer(allow_null=True)
    decision = DecisionSerializer(allow_null=True)
    error = serializers.CharField(help_text="Why it failed, in words, or empty.")
    uploaded_at = serializers.DateTimeField(source="image.uploaded_at")


class ImageSerializer(serializers.ModelSerializer[Any]):
    """The picture itself: where it came from and what it is."""

    case = serializers.IntegerField(source="case_id")
    name = serializers.CharField(source="original_name", help_text="The file's name as it arrived.")
    sha256 = serializers.CharField(source="received_sha256", help_text="Of the bytes as they arrived.")
    uploaded_by = serializers.StringRelatedField[Any]()
    quality = serializers.SerializerMethodField()
    file = serializers.HyperlinkedIdentityField(
        view_name="api:image-file", lookup_url_kwarg="image_id", help_text="Where the stored picture is."
    )

    class Meta:
        model = SmearImage
        fields = [
            "id", "case", "kind", "kind_source", "kind_confidence", "name", "sha256", "stored_sha256", "format",
            "received_format", "byte_size", "width", "height", "um_per_pixel", "quality", "seen_in_other_case",
            "via", "uploaded_by", "uploaded_at", "file",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(QualitySerializer(allow_null=True))
    def get_quality(self, image: SmearImage) -> dict[str, Any] | None:
        return image.quality or None


class FindingsSerializer(serializers.Serializer[Any]):
    """All that was thought and said of an image, from a `worklist.ImageRow`."""

    status = serializers.ChoiceField(Analysis.State.choices, help_text="What its networks have come to.")
    analyses = OpinionSerializer(many=True)
    reading = ReadingSerializer(allow_null=True)
    decision = DecisionSerializer(allow_null=True)
    research_use_only = ResearchUseField()


class ImageDetailSerializer(FindingsSerializer, ImageSerializer):
    """An image and its findings, from a `worklist.ImageRow`."""

    class Meta(ImageSerializer.Meta):
        fields = [*ImageSerializer.Meta.fields, *FindingsSerializer().fields]

    def to_representation(self, row: Any) -> dict[str, Any]:
        return {
            **ImageSerializer(row.image, context=self.context).data,
            **FindingsSerializer(row, context=self.context).data,
        }


class ReceiptSerializer(ImageDetailSerializer):
    """The answer to an upload, from the `worklist.ImageRow` and the `intake.Outcome`."""

    duplicate = serializers.BooleanField(help_text="The same bytes are in this case already: nothing was added.")
    remarks = serializers.ListField(child=serializers.CharField(), help_text="What a technician should know of it.")

    class Meta(ImageDetailSerializer.Meta):
        fields = [*ImageDetailSerializer.Meta.fields, "duplicate", "remarks"]

    def to_representation(self, received: Any) -> dict[str, Any]:
        row, outcome = received
        remarks = [*outcome.flags, *([outcome.reason] if outcome.reason else [])]
        return {
            **super().to_representation(row),
            "duplicate": outcome.status == "duplicate",
            "remarks": remarks,
        }


class OutcomeSerializer(serializers.Serializer[Any]):
    """What became of one file of several, from its name and the `intake.Outcome`."""

    name = serializers.CharField()
    status = serializers.ChoiceField(["accepted", "duplicate", "rejected"])
    id = serializers.IntegerField(allow_null=True, help_text="Of the image; null where the file was not accepted.")
    code = serializers.CharField(allow_blank=True, help_text="Why it was not accepted, for programs.")
    remarks = serializers.ListField(child=serializers.CharField(), help_text="What a technician should know of it.")

    def to_representation(self, received: Any) -> dict[str, Any]:
        name, outcome = received
        return {
            "name": name,
            "status": outcome.status,
            "id": outcome.image.pk if outcome.image else None,
            "code": outcome.code,
            "remarks": [*outcome.flags, *([outcome.reason] if outcome.reason else [])],
        }


class OutcomesSerializer(serializers.Serializer[Any]):
    outcomes = OutcomeSerializer(many=True, help_text="In the order of the files.")


class IntervalSerializer(serializers.Serializer[Any]):
    """A share or probability, 0 to 1, between the ends of its 95 % interval."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class PartSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    malignant = serializers.IntegerField(help_text="How many of them are of a malignant class.")
    decided = serializers.IntegerField(help_text="On how many of them a person has decided.")
    share = serializers.FloatField(allow_null=True, help_text="malignant / count, with its 95 % interval beside it.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    probability = IntervalSerializer(allow_null=True, help_text="Of blood cancer, resting on this part alone.")


class CountSerializer(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()


class CellsSerializer(PartSerializer):
    blast_share = IntervalSerializer(allow_null=True)
    acute_leukaemia = IntervalSerializer(allow_null=True, help_text="Probability of at least 20 % such cells.")
    not_counted = CountSerializer(many=True, help_text="Classes outside the differential, such as platelets.")


class DifferentialSerializer(CountSerializer):
    share = serializers.FloatField(help_text="Of the counted cells.")


class FlagSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    level = serializers.CharField(help_text="`alarm`: act now, `doubt`: look before you trust it, `info`: know it.")
    title = serializers.CharField()
    detail = serializers.CharField()
    rests_on = serializers.ListField(child=serializers.IntegerField(), help_text="Ids of images.")


class ProgressSerializer(serializers.Serializer[Any]):
    images = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    waiting = serializers.IntegerField()
    decided = serializers.IntegerField()


class AssessmentSerializer(serializers.Serializer[Any]):
    """What the evidence of the case says, as `diagnosis.assessment` stored it; for the schema."""

    malignant = IntervalSerializer(allow_null=True, help_text="Probability of blood cancer; null before any reading.")
    fields = PartSerializer(help_text="What the microscope fields say together.")  # type: ignore[assignment]
    cells = CellsSerializer(help_text="What the single cells say together.")
    differential = DifferentialSerializer(many=True, help_text="Counted cells by class, the most frequent first.")
    flags = FlagSerializer(many=True)
    progress = ProgressSerializer()
    statement = serializers.CharField(help_text="All of it in a few plain sentences.")
    research_use_only = serializers.BooleanField()


class CaseSerializer(serializers.ModelSerializer[Case]):
    patient = PatientBriefSerializer()
    created_by = serializers.StringRelatedField[Any]()
    malignant = serializers.FloatField(allow_null=True, help_text="Probability of blood cancer, 0 to 1; null before.")
    held_by = serializers.StringRelatedField[Any](
        allow_null=True, help_text="The pathologist whose case it is; null while it is nobody's."
    )

    class Meta:
        model = Case
        fields = [
            "id", "accession_number", "status", "priority", "specimen", "stain", "clinical_question", "patient",
            "image_count", "malignant", "created_by", "created_at", "due_at", "held_by", "held_at", "signed_at",
            "report_version",
        ]  # fmt: skip
        read_only_fields = fields


class CaseDetailSerializer(CaseSerializer):
    patient = PatientSerializer()  # type: ignore[assignment]
    assessment = serializers.SerializerMethodField()
    images = serializers.SerializerMethodField()
    research_use_only = ResearchUseField()

    class Meta(CaseSerializer.Meta):
        fields = [
            *CaseSerializer.Meta.fields, "requester_name", "requester_email", "assessment", "assessed_at", "images",
            "research_use_only",
        ]  # fmt: skip

    @extend_schema_field(AssessmentSerializer(allow_null=True))
    def get_assessment(self, case: Case) -> dict[str, Any] | None:
        return case.assessment or None

    @extend_schema_field(ImageBriefSerializer(many=True))
    def get_images(self, case: Case) -> Any:
        return ImageBriefSerializer(self.context["images"], many=True, context=self.context).data


class EventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One entry of the audit. `hash` covers it and `previous_hash`, so that a gap or a change shows."""

    actor = serializers.CharField(source="actor_label")
    sentence = serializers.CharField(help_text="The same in plain words.")
    detail = serializers.DictField()

    class Meta:
        model = AuditEvent
        fields = ["sequence", "at", "actor", "action", "sentence", "subject", "detail", "previous_hash", "hash"]
        read_only_fields = fields


class ReleaseSerializer(serializers.ModelSerializer[ModelRelease]):
    card = serializers.DictField(help_text="What it was trained on and how good it was on groups it had never seen.")

    class Meta:
        model = ModelRelease
        fields = ["id", "task", "network", "version", "digest", "stage", "registered_at", "card"]
        read_only_fields = fields


class LimitSerializer(serializers.Serializer[Any]):
    """How many requests the token may send in each window of so many seconds."""

    requests = serializers.IntegerField()
    seconds = serializers.IntegerField()


class MeSerializer(serializers.Serializer[Actor]):
    """Who the token speaks for, and what it may do."""

    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.full_name")
    laboratory = serializers.CharField(source="laboratory.name")
    roles = serializers.SerializerMethodField()
    scopes = serializers.SerializerMethodField()
    may = serializers.SerializerMethodField(help_text="What the roles and the token's scopes allow together.")
    limit = serializers.SerializerMethodField()

    def get_roles(self, actor: Actor) -> list[str]:
        return sorted(actor.roles)

    def get_scopes(self, actor: Actor) -> list[str]:
        return sorted(actor.scopes or ())

    @extend_schema_field(LimitSerializer)
    def get_limit(self, actor: Actor) -> dict[str, int]:
        requests, seconds = TokenThrottle().limit(actor)
        return {"requests": requests, "seconds": seconds}

    def get_may(self, actor: Actor) -> list[str]:
        return [action.value for action in Action if actor.may(action)]
