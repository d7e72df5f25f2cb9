"""Register the models that come with this version: part of every deployment, after `migrate`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis import registry
from mlcore.bundle import BundleError


class Command(BaseCommand):
    help = "Make the shipped models the active releases (running it twice changes nothing)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            releases = registry.register_shipped()
        except BundleError as error:
            raise CommandError(f"Models were not registered: {error}.") from error
        for release in releases:
            self.stdout.write(f"{release.stage}: {release}")
        if not releases:
            self.stderr.write("No models ship with this version: images wait until some are registered.")
