"""Many decisions of one case in one step, and a step undone and redone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from diagnosis import review
from diagnosis.api.inputs import DecisionsInput, TurnInput
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.serializers import StepSerializer
from diagnosis.api.views.cases import CaseDoor


class DecisionDoor(CaseDoor):
    actions = {"POST": Action.DECIDE}
    filter_backends = []

    def taken(self, act: Callable[..., review.Outcome], **what: Any) -> Response:
        """What became of each image; 409 where the whole step is refused."""
        case = self.case()
        try:
            outcome = act(actor=self.actor, case=case, **what)
        except review.ReviewRefused as refused:
            raise Problem(400 if refused.code == "too_many" else 409, refused.code, str(refused)) from refused
        steps = review.steps(actor=self.actor, case=case)
        return Response(StepSerializer((outcome, steps)).data)


@extend_schema(tags=["images"])
class CaseDecisionsView(DecisionDoor):
    @extend_schema(
        operation_id="decide_images",
        summary="Decide on many images of a case in one step",
        description="What can be saved is saved. An image on which somebody decided meanwhile, or whose choice does "
        "not fit, is left as it is and comes back in `refused`. Make `step` yourself (a UUID): sending the same step "
        "again is answered as the first time and stored once. All of a step is undone together.",
        request=DecisionsInput,
        responses=answers({200: StepSerializer}, 400, 404, 409, 413, 415),
    )
    def post(self, request: Request, case_id: int) -> Response:
        values = self.parsed(DecisionsInput)
        choices = [
            review.Choice(
                image=each["image"],
                verdict=each["verdict"],
                label=each.get("label"),
                comment=each["comment"],
                expected=each.get("expected_decision", review.UNSET),
            )
            for each in values["decisions"]
        ]
        return self.taken(review.decide_many, choices=choices, step=values.get("step"))


@extend_schema(tags=["images"])
class CaseUndoView(DecisionDoor):
    @extend_schema(
        operation_id="undo_decisions",
        summary="Undo your newest step in a case",
        description="Each of its images is again as it was before. An image on which a colleague decided after that "
        "step is left as they decided and comes back in `refused`; a step overtaken so on all of its images is "
        "passed over. Nothing is deleted: undoing is a step of its own.",
        request=TurnInput,
        responses=answers({200: StepSerializer}, 400, 404, 409, 413, 415),
    )
    def post(self, request: Request, case_id: int) -> Response:
        return self.taken(review.undo, **self.parsed(TurnInput))


@extend_schema(tags=["images"])
class CaseRedoView(DecisionDoor):
    @extend_schema(
        operation_id="redo_decisions",
        summary="Redo the step that you undid last, if you have not decided since",
        request=TurnInput,
        responses=answers({200: StepSerializer}, 400, 404, 409, 413, 415),
    )
    def post(self, request: Request, case_id: int) -> Response:
        return self.taken(review.redo, **self.parsed(TurnInput))
