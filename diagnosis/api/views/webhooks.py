"""Webhooks: who is told of what happens, what was sent, and sending it again. For an administrator's token."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.permissions import Action
from diagnosis import webhooks
from diagnosis.api.filters import DeliveryFilter
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.views.base import Door
from diagnosis.api.views.images import READ_WITHIN
from diagnosis.api.webhook_shapes import (
    DeliverySerializer,
    ReplayedSerializer,
    SecretWebhookSerializer,
    WebhookChangeInput,
    WebhookInput,
    WebhookSerializer,
)
from diagnosis.models import WebhookDelivery, WebhookEndpoint


class WebhookDoor(Door):
    def endpoint(self) -> WebhookEndpoint:
        try:
            return webhooks.named(actor=self.actor, endpoint_id=self.kwargs["webhook_id"])
        except WebhookEndpoint.DoesNotExist:
            raise Http404 from None

    def deliveries(self) -> QuerySet[WebhookDelivery]:
        return webhooks.deliveries(actor=self.actor, endpoint=self.endpoint())

    def delivery(self) -> WebhookDelivery:
        found = self.deliveries().filter(pk=self.kwargs["delivery_id"]).first()
        if found is None:
            raise Http404
        return found

    def told_once(self, endpoint: WebhookEndpoint, secret: str, status: int) -> Response:
        response = Response(SecretWebhookSerializer((endpoint, secret)).data, status=status)
        response.told_once = ("secret",)  # type: ignore[attr-defined]  # see `idempotency`
        return response

    def waits(self, delivery_id: int) -> Response:
        """A delivery that is sent with the next sweep."""
        self.kwargs["delivery_id"] = delivery_id
        response = Response(DeliverySerializer(self.delivery()).data, status=202)
        place = [self.kwargs["webhook_id"], delivery_id]
        response["Location"] = reverse("api:webhook-delivery", args=place, request=self.request)
        response["Retry-After"] = str(READ_WITHIN)
        return response


def refusal(refused: webhooks.WebhookRefused) -> Problem:
    return Problem(400, "invalid", str(refused), field=refused.field)


@extend_schema(tags=["webhooks"])
class WebhooksView(WebhookDoor):
    actions = {"GET": Action.MANAGE_WEBHOOKS, "POST": Action.MANAGE_WEBHOOKS}
    shape = WebhookSerializer
    queryset = WebhookEndpoint.objects.none()
    filter_backends = []

    @extend_schema(
        operation_id="list_webhooks",
        summary="The addresses that are told of what happens",
        responses=answers({200: WebhookSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(webhooks.of(actor=self.actor).select_related("created_by"))
        return self.get_paginated_response(WebhookSerializer(page, many=True).data)

    @extend_schema(
        operation_id="create_webhook",
        summary="Add an address; its secret is told this once",
        description="Messages are signed with the secret after Standard Webhooks 1.0 (docs/webhooks.md).",
        request=WebhookInput,
        responses=answers({201: SecretWebhookSerializer}, 400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        try:
            made, secret = webhooks.create(actor=self.actor, **self.parsed(WebhookInput))
        except webhooks.WebhookRefused as refused:
            raise refusal(refused) from refused
        self.kwargs["webhook_id"] = made.pk
        response = self.told_once(self.endpoint(), secret, 201)
        response["Location"] = reverse("api:webhook", args=[made.pk], request=request)
        return response


@extend_schema(tags=["webhooks"])
class WebhookView(WebhookDoor):
    actions = {
        "GET": Action.MANAGE_WEBHOOKS,
        "PATCH": Action.MANAGE_WEBHOOKS,
        "DELETE": Action.MANAGE_WEBHOOKS,
    }
    shape = WebhookSerializer
    queryset = WebhookEndpoint.objects.none()
    http_method_names = [*Door.http_method_names, "delete"]

    @extend_schema(
        operation_id="get_webhook",
        summary="One address, and how its messages fare",
        responses=answers({200: WebhookSerializer}, 404),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        return Response(WebhookSerializer(self.endpoint()).data)

    @extend_schema(
        operation_id="change_webhook",
        summary="Pause it or take it up again, or change its name, address or topics",
        request=WebhookChangeInput,
        responses=answers({200: WebhookSerializer}, 400, 404, 413, 415),
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        endpoint = self.endpoint()
        try:
            webhooks.change(actor=self.actor, endpoint=endpoint, **self.parsed(WebhookChangeInput, partial=True))
        except webhooks.WebhookRefused as refused:
            raise refusal(refused) from refused
        return Response(WebhookSerializer(self.endpoint()).data)

    @extend_schema(
        operation_id="delete_webhook",
        summary="Take the address away, with its log; what waits is not sent",
        request=None,
        responses={204: OpenApiResponse(description="It is gone."), **answers({}, 404)},
    )
    def delete(self, request: Request, webhook_id: int) -> Response:
        webhooks.remove(actor=self.actor, endpoint=self.endpoint())
        return Response(status=204)


@extend_schema(tags=["webhooks"])
class WebhookSecretView(WebhookDoor):
    actions = {"POST": Action.MANAGE_WEBHOOKS}

    @extend_schema(
        operation_id="rotate_webhook_secret",
        summary="Make a new secret, valid from the next attempt on; it is told this once",
        request=None,
        responses=answers({200: SecretWebhookSerializer}, 404),
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        endpoint = self.endpoint()
        return self.told_once(endpoint, webhooks.renew(actor=self.actor, endpoint=endpoint), 200)


@extend_schema(tags=["webhooks"])
class WebhookPingView(WebhookDoor):
    actions = {"POST": Action.MANAGE_WEBHOOKS}

    @extend_schema(
        operation_id="ping_webhook",
        summary="Send a test message",
        request=None,
        responses=answers({202: OpenApiResponse(DeliverySerializer, description="It waits to be sent.")}, 404),
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        return self.waits(webhooks.ping(actor=self.actor, endpoint=self.endpoint()).pk)


@extend_schema(tags=["webhooks"])
class WebhookReplayView(WebhookDoor):
    actions = {"POST": Action.MANAGE_WEBHOOKS}

    @extend_schema(
        operation_id="replay_webhook",
        summary="Send again all that was given up",
        request=None,
        responses=answers({200: ReplayedSerializer}, 404),
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        return Response({"count": webhooks.replay(actor=self.actor, endpoint=self.endpoint())})


@extend_schema(tags=["webhooks"])
class DeliveriesView(WebhookDoor):
    actions = {"GET": Action.MANAGE_WEBHOOKS}
    shape = DeliverySerializer
    queryset = WebhookDelivery.objects.none()
    filterset_class = DeliveryFilter

    @extend_schema(
        operation_id="list_deliveries_of_webhook",
        summary="What an address was sent or is to be sent, the newest first",
        responses=answers({200: DeliverySerializer(many=True)}, 400, 404),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        page: list[Any] = self.paginate_queryset(self.filter_queryset(self.deliveries())) or []
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)


@extend_schema(tags=["webhooks"])
class DeliveryView(WebhookDoor):
    actions = {"GET": Action.MANAGE_WEBHOOKS}
    shape = DeliverySerializer

    @extend_schema(
        operation_id="get_delivery",
        summary="One message, with the log of its attempts",
        responses=answers({200: DeliverySerializer}, 404),
    )
    def get(self, request: Request, webhook_id: int, delivery_id: int) -> Response:
        return Response(DeliverySerializer(self.delivery()).data)


@extend_schema(tags=["webhooks"])
class DeliveryReplayView(WebhookDoor):
    actions = {"POST": Action.MANAGE_WEBHOOKS}

    @extend_schema(
        operation_id="replay_delivery",
        summary="Send one message again, with the same body and `webhook-id`",
        request=None,
        responses=answers(
            {
                202: OpenApiResponse(DeliverySerializer, description="It waits to be sent again."),
                200: OpenApiResponse(DeliverySerializer, description="It waited already; nothing was changed."),
            },
            404,
        ),
    )
    def post(self, request: Request, webhook_id: int, delivery_id: int) -> Response:
        delivery = self.delivery()
        if webhooks.replay(actor=self.actor, endpoint=self.endpoint(), delivery_id=delivery.pk):
            return self.waits(delivery.pk)
        return Response(DeliverySerializer(delivery).data)
