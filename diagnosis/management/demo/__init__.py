"""The demo laboratory: its people, their patients and cases, all invented; its pictures are rendered."""

from diagnosis.management.demo.people import demo_actor, make_people

__all__ = ["demo_actor", "make_people"]
