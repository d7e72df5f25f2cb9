"""The small named cast that most tests play with, and factories for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import factory
from django.utils import timezone

from accounts.models import Laboratory, Membership, Role, User
from accounts.permissions import Actor, actor_for
from diagnosis.models import Case, Patient

PASSWORD = "a long enough test password"


class LaboratoryFactory(factory.django.DjangoModelFactory[Laboratory]):
    class Meta:
        model = Laboratory

    name = factory.Sequence(lambda n: f"Laboratory {n}")
    slug = factory.Sequence(lambda n: f"laboratory-{n}")


class PatientFactory(factory.django.DjangoModelFactory[Patient]):
    class Meta:
        model = Patient

    laboratory = factory.SubFactory(LaboratoryFactory)
    mrn = factory.Sequence(lambda n: f"{7700 + n}-{n:03d}")
    name = factory.Sequence(lambda n: f"Rendered Person {n:02d}")


class CaseFactory(factory.django.DjangoModelFactory[Case]):
    class Meta:
        model = Case

    laboratory = factory.SubFactory(LaboratoryFactory)
    patient = factory.SubFactory(PatientFactory, laboratory=factory.SelfAttribute("..laboratory"))
    accession_number = factory.Sequence(lambda n: f"ACC-26-{n:05d}")
    created_at = factory.LazyFunction(timezone.now)
    due_at = factory.LazyAttribute(lambda case: case.created_at + timedelta(hours=48))


def person(laboratory: Laboratory, name: str, *roles: Role) -> Actor:
    email = f"{name.lower().replace(' ', '.')}@{laboratory.slug}.example"
    user = User.objects.create_user(email, PASSWORD, full_name=name)
    Membership.objects.bulk_create([Membership(user=user, laboratory=laboratory, role=role) for role in roles])
    actor = actor_for(user, laboratory)
    assert actor is not None
    return actor


@dataclass(frozen=True)
class Cast:
    """Two laboratories; everyone but the stranger works in the first."""

    laboratory: Laboratory
    elsewhere: Laboratory
    technician: Actor
    pathologist: Actor
    second_pathologist: Actor
    administrator: Actor
    stranger: Actor  # a pathologist, technician and administrator of the other laboratory

    def case(self, **fields: object) -> Case:
        fields = {"laboratory": self.laboratory, "created_by": self.technician.user} | fields
        case: Case = CaseFactory(**fields)
        return case


def make_cast() -> Cast:
    here, elsewhere = LaboratoryFactory(name="North Laboratory"), LaboratoryFactory(name="South Laboratory")
    return Cast(
        laboratory=here,
        elsewhere=elsewhere,
        technician=person(here, "Tess Technician", Role.TECHNICIAN),
        pathologist=person(here, "Paul Pathologist", Role.PATHOLOGIST),
        second_pathologist=person(here, "Petra Pathologist", Role.PATHOLOGIST),
        administrator=person(here, "Ada Administrator", Role.ADMINISTRATOR),
        stranger=person(elsewhere, "Sam Stranger", *Role),
    )
