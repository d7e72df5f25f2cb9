"""Settings, all of them from the environment (`docs/operate.md` lists the variables).

Two ways to run, the same code: *embedded* (`EMBEDDED=1`, or `DEBUG=1`: SQLite, files, a broker that needs no
server) and *served* (PostgreSQL, Redis, a secret key and host names, each refused by name when it is missing).
"""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(str(BASE_DIR / ".env"), recurse=False)

DEBUG = env.bool("DEBUG", False)
EMBEDDED = env.bool("EMBEDDED", DEBUG)
VAR = Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).resolve()


def _embedded_secret() -> str:
    """A random key of this installation, made once and kept in `var/`, never a default in the code."""
    path = VAR / "secret-key"
    if not path.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


def _an_hour(rate: str) -> int:
    """`6000/hour`, `100/min`: how many requests an hour that makes."""
    number, _, period = rate.partition("/")
    return int(number) * 3600 // {"s": 1, "m": 60, "h": 3600, "d": 86_400}[period[0]]


SECRET_KEY = env.str("SECRET_KEY", "") or (_embedded_secret() if EMBEDDED else "")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"] if EMBEDDED else [])
DATABASE_URL = env.str("DATABASE_URL", f"sqlite:///{VAR / 'leukolens.sqlite3'}" if EMBEDDED else "")
BROKER_URL = env.str("BROKER_URL", "filesystem://localhost/" if EMBEDDED else "")
OIDC_SERVER_URL = env.str("OIDC_SERVER_URL", "")
OIDC_CLIENT_ID, OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_ID", ""), env.str("OIDC_CLIENT_SECRET", "")

if not EMBEDDED:
    missing = [
        sentence
        for is_missing, sentence in (
            (len(SECRET_KEY) < 50, "SECRET_KEY: set a random key of at least 50 characters"),
            (not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS, "ALLOWED_HOSTS: name the hosts that users type"),
            (not DATABASE_URL.startswith(("postgres://", "postgresql://")), "DATABASE_URL: postgresql://…"),
            (not BROKER_URL.startswith(("redis://", "rediss://")), "BROKER_URL: redis://…"),
            (
                bool(OIDC_SERVER_URL) and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET),
                "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET: what the provider at OIDC_SERVER_URL gave you",
            ),
        )
        if is_missing
    ]
    if missing:
        raise ImproperlyConfigured(
            "LeukoLens does not start unsafely. Missing or unfit:\n  - "
            + "\n  - ".join(missing)
            + "\nFor a trial on one machine without servers, run `make demo` (or set EMBEDDED=1)."
        )

INSTALLED_APPS = [
    "accounts",
    "diagnosis",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.ActorMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Database. SQLite takes its write lock at the start of a transaction, so that reading and then writing never
# deadlocks; the write-ahead log lets pages read while a worker writes.
DATABASES = {"default": env.dj_db_url("DATABASE_URL", DATABASE_URL, conn_max_age=60, conn_health_checks=True)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHE_URL = env.str("CACHE_URL", BROKER_URL if BROKER_URL.startswith("redis") else "")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}
    if CACHE_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# Files: content-addressed, private, on disk or in a bucket; never served by the web server itself.
S3_BUCKET = env.str("S3_BUCKET", "")
STORAGES = {
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": env.str("S3_ENDPOINT_URL", None),
            "default_acl": "private",
            "file_overwrite": True,  # names are hashes of the content: the same name is the same file
        },
    }
    if S3_BUCKET
    else {"BACKEND": "diagnosis.storage.ContentStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if EMBEDDED
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", str(VAR / "media")))
STATIC_URL = "/static/"
STATIC_ROOT = None if EMBEDDED else BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = EMBEDDED

# People.
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "case-list"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # an administrator gives the address; there is none to verify
ACCOUNT_EMAIL_NOTIFICATIONS = True  # a changed password or second factor is told by mail
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = False
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_FORMS = {
    "add_webauthn": "accounts.keys.AddKeyForm",
    "login_webauthn": "accounts.keys.LoginKeyForm",
    "authenticate_webauthn": "accounts.keys.AuthenticateKeyForm",
    "reauthenticate_webauthn": "accounts.keys.ReauthenticateKeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "LeukoLens"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = EMBEDDED
SOCIALACCOUNT_ADAPTER = "accounts.adapter.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS = (
    {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": env.str("OIDC_NAME", "Hospital sign-in"),
                    "client_id": OIDC_CLIENT_ID,
                    "secret": OIDC_CLIENT_SECRET,
                    "settings": {"server_url": OIDC_SERVER_URL},
                }
            ],
        }
    }
    if OIDC_SERVER_URL
    else {}
)

# The browser's side: no inline script or style, nothing from elsewhere.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Signing in by OIDC answers a form with a redirect to the provider, which browsers count as its action.
        "form-action": [SELF, *([urlsplit(OIDC_SERVER_URL)._replace(path="").geturl()] if OIDC_SERVER_URL else [])],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
HTTPS = env.bool("HTTPS", not EMBEDDED)
SECURE_SSL_REDIRECT = HTTPS and env.bool("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", False) else None
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if env.bool("BEHIND_PROXY", False) else 0
# Preload lists are for sites of the open internet; a hospital's portal does not belong on them.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:  # no other host and no plain page can plant these
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", 12) * 3600
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False

EMAIL_HOST = env.str("EMAIL_HOST", "")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = env.int("EMAIL_PORT", 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_USER", ""), env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10  # seconds; a mail server that accepts and then says nothing holds nobody up
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "leukolens@localhost")
# Where people reach the portal: for links in mails that no request has asked for.
PUBLIC_URL = env.str(
    "PUBLIC_URL",
    f"http://localhost:{env.int('PORT', 8000)}" if EMBEDDED else f"https://{ALLOWED_HOSTS[0].lstrip('.')}",
).rstrip("/")

# A folder of typefaces (TTF, OTF) for reports and labels, where names need letters that the documents' own lack.
DOCUMENT_FONTS = env.str("DOCUMENT_FONTS", "")

# Intake limits, checked before a picture is decoded.
INTAKE_MAX_BYTES = env.int("INTAKE_MAX_BYTES", 64 * 1024 * 1024)
INTAKE_MAX_PIXELS = env.int("INTAKE_MAX_PIXELS", 100_000_000)
INTAKE_MAX_SIDE = env.int("INTAKE_MAX_SIDE", 20_000)
INTAKE_MIN_SIDE = env.int("INTAKE_MIN_SIDE", 32)
INTAKE_MAX_FILES = env.int("INTAKE_MAX_FILES", 200)  # of one request, and its bytes:
INTAKE_MAX_REQUEST_BYTES = env.int("INTAKE_MAX_REQUEST_BYTES", 512 * 1024 * 1024)
# Batches: what is on its way or waits for a case lies here, seen by every web process and worker alike.
UPLOADS_ROOT = Path(env.str("UPLOADS_ROOT", str(VAR / "uploads")))
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", 4 * 1024**3)  # of one upload: a zip
UPLOAD_HOURS = env.int("UPLOAD_HOURS", 24)  # an upload that has not come whole by then is given up
UPLOADS_FREE_BYTES = env.int("UPLOADS_FREE_BYTES", 1024**3)  # of the disk that uploads leave alone
BATCH_MAX_FILES = env.int("BATCH_MAX_FILES", 10_000)
ZIP_MAX_MEMBERS = env.int("ZIP_MAX_MEMBERS", 5_000)
ZIP_MAX_BYTES = env.int("ZIP_MAX_BYTES", 16 * 1024**3)  # unpacked
ZIP_MAX_RATIO = env.int("ZIP_MAX_RATIO", 200)  # of one member, unpacked over packed
DATA_UPLOAD_MAX_NUMBER_FILES = INTAKE_MAX_FILES
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o640

# Exports for training: what one holds, and the key of its pseudonyms (SECRET_KEY where empty).
EXPORT_MAX_IMAGES = env.int("EXPORT_MAX_IMAGES", 200_000)
EXPORT_MAX_BYTES = env.int("EXPORT_MAX_BYTES", 50 * 1024**3)
EXPORT_KEY = env.str("EXPORT_KEY", "")

# Queue and workers. Seconds; tied together: soft < hard < lease < broker visibility (checked at start).
INFERENCE_ENGINE = env.str("INFERENCE_ENGINE", "auto")  # auto, torch or onnxruntime
INFERENCE_THREADS = env.int("INFERENCE_THREADS", 0) or None
ANALYSIS_BATCH_MAX = env.int("ANALYSIS_BATCH_MAX", 64)
ANALYSIS_MAX_ATTEMPTS = env.int("ANALYSIS_MAX_ATTEMPTS", 3)
ANALYSIS_RETRY_DELAY = env.int("ANALYSIS_RETRY_DELAY", 5)
ANALYSIS_SOFT_LIMIT = env.int("ANALYSIS_SOFT_LIMIT", 120)
ANALYSIS_HARD_LIMIT = env.int("ANALYSIS_HARD_LIMIT", 150)
ANALYSIS_LEASE = env.int("ANALYSIS_LEASE", 240)
BROKER_VISIBILITY = env.int("BROKER_VISIBILITY", 900)
SWEEP_EVERY = env.int("SWEEP_EVERY", 10)
TELL_EVERY = env.int("TELL_EVERY", 15)
STALL_TOLD_AFTER = env.int("STALL_TOLD_AFTER", 300)  # a batch waits, and no worker has been there for so long
WEBHOOK_NETWORKS: list[str] = env.list("WEBHOOK_NETWORKS", [])  # inside the house, and yet sent to: 10.20.0.0/16
TALLY_EVERY = env.int("TALLY_EVERY", 60)
WORKER_HEARTBEAT = env.int("WORKER_HEARTBEAT", 5)

CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any outage of the broker
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
    "visibility_timeout": BROKER_VISIBILITY,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,  # an upload must not hang on a broker that accepts and then says nothing
    "socket_keepalive": True,
}
if BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(VAR / "broker" / "messages"),
        "data_folder_out": str(VAR / "broker" / "messages"),
        "control_folder": str(VAR / "broker" / "control"),
        "polling_interval": 0.2,
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SOFT_TIME_LIMIT = ANALYSIS_SOFT_LIMIT
CELERY_TASK_TIME_LIMIT = ANALYSIS_HARD_LIMIT
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 120.0  # loading torch and the networks takes longer than Celery's 4 s
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = not BROKER_URL.startswith("filesystem")
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "diagnosis.tasks.sweep", "schedule": SWEEP_EVERY, "options": {"expires": SWEEP_EVERY}},
    "take_in": {"task": "diagnosis.tasks.take_in", "schedule": SWEEP_EVERY, "options": {"expires": SWEEP_EVERY}},
    "tally": {"task": "diagnosis.tasks.tally", "schedule": TALLY_EVERY, "options": {"expires": TALLY_EVERY}},
    "tell": {"task": "diagnosis.tasks.tell", "schedule": TELL_EVERY, "options": {"expires": TELL_EVERY}},
    "deliver": {"task": "diagnosis.tasks.deliver", "schedule": TELL_EVERY, "options": {"expires": TELL_EVERY}},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")

# The API. A request with an Idempotency-Key is answered alike for hours; one whose process died is taken over after
# seconds. Nobody may give a token more requests an hour than API_TOKEN_MAX.
IDEMPOTENCY_HOURS = env.int("IDEMPOTENCY_HOURS", 24)
IDEMPOTENCY_TAKEOVER = env.int("IDEMPOTENCY_TAKEOVER", 120)
API_THROTTLE = env.str("API_THROTTLE", "6000/hour")
API_TOKEN_MAX = env.int("API_TOKEN_MAX", 0) or _an_hour(API_THROTTLE)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["diagnosis.api.authentication.BearerTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["diagnosis.api.permissions.MayAct"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "diagnosis.api.pagination.Pages",
    "DEFAULT_THROTTLE_CLASSES": ["diagnosis.api.throttling.TokenThrottle"],
    "DEFAULT_THROTTLE_RATES": {"token": API_THROTTLE},
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "diagnosis.api.problems.problem_details",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "LeukoLens",
    "VERSION": "1.1.0",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": "Blood-smear images in, readings out. Research use only – not for diagnostic use.",
    "TAGS": [
        {"name": "cases", "description": "One diagnostic question on one patient."},
        {"name": "images", "description": "Pictures of a smear, what the networks read in them and what people say."},
        {"name": "batches", "description": "Many files that arrive together, each with exactly one outcome."},
        {"name": "reports", "description": "What a pathologist signed, version by version."},
        {"name": "patients", "description": "By medical record number."},
        {"name": "export", "description": "Decided pictures, de-identified, for training."},
        {"name": "webhooks", "description": "Other systems are told of what happens."},
        {"name": "about", "description": "The token and the networks."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"displayRequestDuration": True, "filter": True},
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "diagnosis.api.sparse.everywhere",
        "diagnosis.api.headers.everywhere",
        "diagnosis.api.examples.everywhere",
        "diagnosis.api.links.everywhere",
    ],
    "ENUM_NAME_OVERRIDES": {
        "CaseStatusEnum": "diagnosis.models.Case.Status",
        "AnalysisStateEnum": "diagnosis.models.Analysis.State",
        "ImageKindEnum": "diagnosis.models.SmearImage.Kind",
        "ReportKindEnum": "diagnosis.models.Report.Kind",
        "FileOutcomeEnum": "diagnosis.models.BatchFile.State",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
}
