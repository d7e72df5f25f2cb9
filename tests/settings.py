"""The product's settings in a temporary place; PostgreSQL where `python -m tests.servers` has started one."""

import atexit
import os
import shutil
import tempfile

_var = tempfile.mkdtemp(prefix="leukolens-tests-")
atexit.register(shutil.rmtree, _var, ignore_errors=True)
os.environ["EMBEDDED"] = "1"
os.environ["DEBUG"] = "0"
os.environ["VAR_DIR"] = _var

from config.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, as in the product: threads of a test then race for it as processes do.
    DATABASES["default"]["TEST"] = {"NAME": f"{_var}/test.sqlite3"}  # noqa: F405
