"""People, the laboratories they work in, the roles they hold there and the API tokens they made."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils import timezone


class Laboratory(models.Model):
    """The tenant: people, patients and cases belong to exactly one."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=60, unique=True)
    address = models.TextField(blank=True, max_length=500)  # this and the next three head every report
    phone = models.CharField(max_length=60, blank=True)
    director = models.CharField(max_length=200, blank=True)
    accreditation = models.CharField(max_length=200, blank=True)
    routine_hours = models.PositiveSmallIntegerField(default=48)  # target from receipt to signature
    urgent_hours = models.PositiveSmallIntegerField(default=4)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "laboratories"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username or "")


class User(AbstractBaseUser, PermissionsMixin):
    """A person, who signs in by e-mail address."""

    email = models.EmailField(unique=True)
    full_name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.full_name or self.email

    def get_full_name(self) -> str:
        return self.full_name

    def get_short_name(self) -> str:
        return self.full_name or self.email


class Role(models.TextChoices):
    TECHNICIAN = "technician", "Technician"
    PATHOLOGIST = "pathologist", "Pathologist"
    ADMINISTRATOR = "administrator", "Administrator"


class Membership(models.Model):
    """One role of one person in one laboratory; several rows where a person holds several."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "laboratory", "role"], name="one_row_per_role")]

    def __str__(self) -> str:
        return f"{self.user}: {self.role} at {self.laboratory}"


class ApiToken(models.Model):
    """A bearer token of one person in one laboratory.

    Only the SHA-256 of the token is kept (the token itself has 256 random bits, so a slow hash adds nothing);
    `prefix` is what a person recognises it by.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    requests_per_hour = models.PositiveIntegerField(null=True, blank=True)  # None: the rate of all
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()
