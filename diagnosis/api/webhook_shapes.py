"""What is sent and answered around webhooks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api.inputs import Strict
from diagnosis.models import WebhookDelivery, WebhookEndpoint
from diagnosis.webhooks import TOPICS

_TOPICS = [(name, topic.says) for name, topic in TOPICS.items()]


class TopicsField(serializers.ListField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            child=serializers.ChoiceField(_TOPICS), allow_empty=False, help_text="What it is told of.", **kwargs
        )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A laboratory information system",
            request_only=True,
            value={"name": "LIS bridge", "url": "https://lis.example/leukolens", "topics": ["report.signed"]},
        )
    ]
)
class WebhookInput(Strict):
    name = serializers.CharField(max_length=100, help_text="The system that listens.")
    url = serializers.CharField(max_length=500, help_text="https; inside the house where the operator allowed it.")
    topics = TopicsField()


class WebhookChangeInput(Strict):
    name = serializers.CharField(max_length=100, required=False)
    url = serializers.CharField(max_length=500, required=False)
    topics = TopicsField(required=False)
    active = serializers.BooleanField(
        required=False, help_text="`false` pauses it: what happens is kept for it, and sent when it is taken up again."
    )


class WebhookSerializer(serializers.ModelSerializer[Any]):
    created_by = serializers.StringRelatedField[Any]()
    topics = serializers.ListField(child=serializers.CharField())
    waiting = serializers.IntegerField(help_text="Messages that wait to be sent.")
    failed = serializers.IntegerField(help_text="Messages that were given up.")
    last_sent = serializers.DateTimeField(allow_null=True)

    class Meta:
        model = WebhookEndpoint
        fields = ["id", "name", "url", "topics", "active", "waiting", "failed", "last_sent", "created_by", "created_at"]
        read_only_fields = fields


class SecretWebhookSerializer(WebhookSerializer):
    """With its secret, from the `WebhookEndpoint` and the secret."""

    secret = serializers.CharField(
        allow_null=True,
        help_text="`whsec_…`, told this once; null where the answer is repeated for an `Idempotency-Key`.",
    )

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]

    def to_representation(self, made: Any) -> dict[str, Any]:
        endpoint, secret = made
        return {**WebhookSerializer(endpoint).data, "secret": secret}


class AttemptSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    status = serializers.IntegerField(required=False, help_text="That it answered; not there where no answer came.")
    milliseconds = serializers.IntegerField(required=False)
    error = serializers.CharField(required=False, help_text="Why it counts as not taken, in words.")


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """One message to one address."""

    message = serializers.SerializerMethodField(help_text="Its `webhook-id`: the same in each attempt.")
    state = serializers.ChoiceField(WebhookDelivery.State.choices)
    next_attempt = serializers.SerializerMethodField(help_text="When it is tried (again); null once it is sent.")
    body = serializers.CharField(help_text="JSON, exactly as it is sent.")
    log = AttemptSerializer(many=True, help_text="The newest attempts, the oldest first.")

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "message", "topic", "state", "attempts", "next_attempt", "created_at", "sent_at", "body", "log",
        ]  # fmt: skip
        read_only_fields = fields

    def get_message(self, delivery: WebhookDelivery) -> str:
        return f"msg_{delivery.message.hex}"

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_next_attempt(self, delivery: WebhookDelivery) -> Any:
        waits = delivery.state == WebhookDelivery.State.WAITING
        return serializers.DateTimeField().to_representation(delivery.not_before) if waits else None


class ReplayedSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="How many messages wait to be sent again.")
