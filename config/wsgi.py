"""WSGI door for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from diagnosis.checks import require_fit_limits  # noqa: E402 - Django's own checks do not run under gunicorn

require_fit_limits()
