"""The sentences that a laboratory keeps at hand for the comment of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.permissions import Action, require, visible
from diagnosis import audit
from diagnosis.models import CommentTemplate
from diagnosis.signout.refusals import SignoutRefused, text_of

if TYPE_CHECKING:
    from accounts.permissions import Actor


def save_template(*, actor: Actor, title: str, text: str, template_id: int | None = None) -> CommentTemplate:
    """Make a comment template, or change the one of that key.

    Raises `SignoutRefused` (empty, too_long, taken), `PermissionDenied`, and `CommentTemplate.DoesNotExist`.
    """
    require(actor, Action.EDIT_TEMPLATES)
    title = " ".join(text_of(title, "title", "a title", 80, needed=True).split())
    text = text_of(text, "text", "the text", 4_000, needed=True)
    with transaction.atomic():
        template = CommentTemplate(laboratory=actor.laboratory) if template_id is None else _own(actor, template_id)
        template.title, template.text = title, text
        template.updated_by, template.updated_at = actor.user, timezone.now()
        try:
            with transaction.atomic():
                template.save()
        except IntegrityError as error:
            raise SignoutRefused(
                "taken", f"There is a template “{title}” already. Choose another title.", "title"
            ) from error
        audit.record(
            actor=actor,
            action="template.saved",
            subject=f"template {template.pk}",
            title=title,
            made=template_id is None,
        )
    return template


def delete_template(*, actor: Actor, template_id: int) -> None:
    """Take a comment template away; reports keep what was written with it. Raises as `save_template` does."""
    require(actor, Action.EDIT_TEMPLATES)
    with transaction.atomic():
        template = _own(actor, template_id)
        audit.record(actor=actor, action="template.deleted", subject=f"template {template.pk}", title=template.title)
        template.delete()


def _own(actor: Actor, template_id: int) -> CommentTemplate:
    return visible(CommentTemplate.objects.all(), actor).get(pk=template_id)
