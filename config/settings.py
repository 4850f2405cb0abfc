"""All settings, in one file, driven by the environment. Nothing set means: development on this machine.

DATA_DIR       the folder that holds everything a run writes (default: ./data)
PORT           where the site listens (default: 8000)
SITE_URL       how people reach the site, for links in mails and webhooks
SECRET_KEY     required as soon as DEBUG is off
DEBUG          "0" in production
ALLOWED_HOSTS  comma-separated
DATABASE_URL   default: SQLite in DATA_DIR
REDIS_URL      default: a Valkey of our own, on a socket in DATA_DIR
X_ACCEL_LOCATION  of an nginx in front that sends what lies in DATA_DIR/media (default: the site itself does)
AWS_STORAGE_BUCKET_NAME  of an object store that speaks S3 and keeps the media (default: they lie in DATA_DIR/media)
AWS_S3_ENDPOINT_URL      of the store, as workers, web servers and browsers reach it (default: that of Amazon)
AWS_S3_REGION_NAME       of the bucket (default: us-east-1)
AWS_S3_ADDRESSING_STYLE  "virtual" if the store wants the bucket in the name of the host (default: path)
AWS_ACCESS_KEY_ID        and AWS_SECRET_ACCESS_KEY: to the store; where they are not set boto3 finds others by itself
EMAIL_URL      default: files in DATA_DIR/mail, which the page /inbox/ shows
API_REQUESTS_PER_MINUTE  of one user (default: 6000)
API_STRANGER_REQUESTS_PER_MINUTE  of strangers from one address (default: 600)
STRANGER_MAILS_PER_HOUR  that one address may have us write, by signing up or losing passwords (default: 60)
API_MAX_WAITING  how many requests may wait for news of a job in one web process (default: 2000)
STRIPE_API_KEY          of the account that takes the payments (default: our sandbox takes them, and no money)
STRIPE_WEBHOOK_SECRET   with which the gateway signs what it announces to /webhooks/payments
WEBHOOK_KEY    from which the secrets of webhooks are made (default: SECRET_KEY; keep it when that changes)
WEBHOOKS_TO_LOOPBACK    "1" in development: webhooks may go to this machine, by plain HTTP
CHUNK_SECONDS  how much of a video one job encodes, and a crash repeats (default: 30)
SUMMARIES_PER_SECOND    the pace at which daily summaries are mailed (default: 20)
FFMPEG_CONFINEMENT      "required": no video is opened where ffmpeg cannot be kept from network and files; or "off"
EXTRA_APPS     comma-separated: further Django apps, as the tests and benchmarks bring
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import dj_email_url
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config import parts

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = parts.data_dir()

DEBUG = os.environ.get("DEBUG", "1") == "1"
PORT = int(os.environ.get("PORT", "8000"))
SITE_URL = os.environ.get("SITE_URL", f"http://localhost:{PORT}").rstrip("/")
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host]
CSRF_TRUSTED_ORIGINS = [SITE_URL]

SECRET_KEY = os.environ.get("SECRET_KEY", "development-only-secret" if DEBUG else "")
if not DEBUG and SECRET_KEY in ("", "development-only-secret"):
    raise ImproperlyConfigured("Set SECRET_KEY to a long random value: DEBUG is off, so this is production.")

INSTALLED_APPS = [
    "config",  # first: its templates and static files are looked up before those of others
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "ninja",
    "django_celery_beat",
    "axes",
    "jobs",
    "mail",
    "accounts",
    "videos",
    "orders",
    "reports",
    "notifications",
    "summaries",
    *filter(None, os.environ.get("EXTRA_APPS", "").split(",")),
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
    "config.problems.ProblemMiddleware",
    "config.limits.RateLimitMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
    {
        "NAME": "text",  # what is no HTML, such as the text of a mail
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"autoescape": False},
    },
]

# --- What is stored ---------------------------------------------------------------------------------------------

DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{DATA_DIR / 'nightshift.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue up instead of failing: IMMEDIATE takes the write lock when a transaction begins, so it can wait.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["CONN_MAX_AGE"] = None
else:
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": 20, "timeout": 60},  # in a rush, late is better than not at all
        # What is said again and again is planned once. Not for a pooler that shares connections by transaction.
        "server_side_binding": True,
        "prepare_threshold": 5,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = DATA_DIR / "media"
MEDIA_URL = "/media/"
X_ACCEL_LOCATION = os.environ.get("X_ACCEL_LOCATION", "")
WORK_DIR = DATA_DIR / "work"  # where tasks keep files until they finish
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads"  # on the disk of MEDIA_ROOT, so that keeping an upload is a rename
UPLOAD_DIR = FILE_UPLOAD_TEMP_DIR / "resumable"

STORE_BUCKET = os.environ.get("AWS_STORAGE_BUCKET_NAME", "")
STORE_ORIGIN = ""  # where browsers meet the object store
MEDIA_STORAGE: dict[str, Any] = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
if STORE_BUCKET:
    region = os.environ.get("AWS_S3_REGION_NAME") or "us-east-1"
    store = urlsplit(os.environ.get("AWS_S3_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com")
    style = os.environ.get("AWS_S3_ADDRESSING_STYLE") or "path"
    STORE_ORIGIN = f"{store.scheme}://{f'{STORE_BUCKET}.' if style == 'virtual' else ''}{store.netloc}"
    where = {"bucket_name": STORE_BUCKET, "endpoint_url": store.geturl(), "region_name": region}
    MEDIA_STORAGE = {"BACKEND": "files.store.Store", "OPTIONS": {**where, "addressing_style": style}}

STATIC_URL = "/static/"
STATIC_ROOT = Path(os.environ.get("STATIC_ROOT") or DATA_DIR / "static")
STORAGES = {
    "default": MEDIA_STORAGE,
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
# What the pages take from npm. Where it is not installed they do without.
TUS_CLIENT = BASE_DIR / "node_modules" / "tus-js-client" / "dist"
HLS_LIBRARY = BASE_DIR / "node_modules" / "hls.js" / "dist"
STATICFILES_DIRS = [(name, path) for name, path in (("tus", TUS_CLIENT), ("hls", HLS_LIBRARY)) if path.exists()]

for folder in (MEDIA_ROOT, WORK_DIR, UPLOAD_DIR, STATIC_ROOT):
    folder.mkdir(parents=True, exist_ok=True)

# --- Messages ---------------------------------------------------------------------------------------------------

VALKEY_SOCKET = parts.valkey_socket(DATA_DIR)
REDIS_URL = os.environ.get("REDIS_URL") or f"unix://{VALKEY_SOCKET}"

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_RESULT_BACKEND = None  # the job row is the result
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = "quick"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker never gives up on its broker
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A message that a dead worker held goes back after this long. It may be short although jobs are long: a message
    # delivered twice finds its job started and does nothing.
    "visibility_timeout": 60,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "queue_order_strategy": "priority",
    "priority_steps": [0, 3, 6],  # jobs.models.Priority
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_DB_REUSE_MAX = 1_000_000  # else the Django fixup opens a new connection for every message
CELERY_BEAT_SCHEDULER = "jobs.clock.Clock"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
DJANGO_CELERY_BEAT_TZ_AWARE = True

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}},
}

# --- Jobs -------------------------------------------------------------------------------------------------------

JOB_LEASE = timedelta(seconds=float(os.environ.get("JOB_LEASE_SECONDS", "20")))
JOB_FAIR_QUEUES = {"media"}  # where jobs are long, owners take turns
JOB_RETENTION = {  # how long a finished job is kept
    "succeeded": timedelta(days=30),
    "cancelled": timedelta(days=30),
    "dead": timedelta(days=180),
}

# --- The API ----------------------------------------------------------------------------------------------------

API_REQUESTS_PER_MINUTE = int(os.environ.get("API_REQUESTS_PER_MINUTE", "6000"))  # of a user
API_STRANGER_REQUESTS_PER_MINUTE = int(os.environ.get("API_STRANGER_REQUESTS_PER_MINUTE", "600"))  # from an address
STRANGER_MAILS_PER_HOUR = int(os.environ.get("STRANGER_MAILS_PER_HOUR", "60"))  # from an address
API_MAX_WAITING = int(os.environ.get("API_MAX_WAITING", "2000"))  # requests that wait for news, in a web process

# --- Videos -----------------------------------------------------------------------------------------------------

FFMPEG = parts.ffmpeg()
FFPROBE = parts.ffprobe()
FFMPEG_CONFINEMENT = os.environ.get("FFMPEG_CONFINEMENT", "where possible")
MAX_UPLOAD_BYTES = int(os.environ.get("MAX_UPLOAD_BYTES", str(4 * 1024**3)))
UPLOAD_QUOTA_BYTES = int(os.environ.get("UPLOAD_QUOTA_BYTES", str(100 * 1024**3)))  # of a person, with open uploads
UPLOAD_PART_BYTES = int(os.environ.get("UPLOAD_PART_BYTES", str(16 * 1024**2)))  # S3: 5 MiB at least
MAX_OPEN_UPLOADS = int(os.environ.get("MAX_OPEN_UPLOADS", "100"))  # of a person
UPLOAD_LIFE = timedelta(seconds=float(os.environ.get("UPLOAD_LIFE_SECONDS") or 3 * 24 * 3600))  # since bytes arrived
CHUNK_SECONDS = float(os.environ.get("CHUNK_SECONDS", "30"))  # of a video: what one job encodes, and a crash repeats

# --- Payments ---------------------------------------------------------------------------------------------------

# The sandbox of the Procfile's line `gateway`, or Stripe.
GATEWAY_PORT = int(os.environ.get("GATEWAY_PORT") or PORT + 4000)
STRIPE_API_KEY = os.environ.get("STRIPE_API_KEY") or "sk_test_sandbox"
STRIPE_API_BASE = os.environ.get("STRIPE_API_BASE") or (
    "https://api.stripe.com" if os.environ.get("STRIPE_API_KEY") else f"http://127.0.0.1:{GATEWAY_PORT}"
)
STRIPE_WEBHOOK_SECRET = os.environ.get("STRIPE_WEBHOOK_SECRET") or ("whsec_sandbox" if DEBUG else "")
PAYMENT_TIMEOUT = float(os.environ.get("PAYMENT_TIMEOUT_SECONDS", "10"))
# How long a charge may be asked for again. Stripe keeps a key for at least 24 hours; the last of them is for requests
# that are under way, and for clocks that differ.
PAYMENT_KEY_LIFE = timedelta(seconds=float(os.environ.get("PAYMENT_KEY_LIFE_SECONDS") or 23 * 3600))
RECONCILED = timedelta(days=2)  # before each nightly comparison

# --- Webhooks ---------------------------------------------------------------------------------------------------

WEBHOOK_KEY = os.environ.get("WEBHOOK_KEY") or SECRET_KEY
WEBHOOK_TIMEOUT = float(os.environ.get("WEBHOOK_TIMEOUT_SECONDS", "15"))  # Standard Webhooks says 15 to 30 s
WEBHOOKS_TO_LOOPBACK = DEBUG and os.environ.get("WEBHOOKS_TO_LOOPBACK") == "1"

# --- Reports ----------------------------------------------------------------------------------------------------

REPORT_LIFETIME = timedelta(days=7)  # of a file; its report stays as long as its job

# --- People -----------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

PASSWORD_RESET_TIMEOUT = 4 * 3600  # seconds

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # both: nobody can lock others out of their account
AXES_USERNAME_CALLABLE = "accounts.throttling.account"
AXES_USERNAME_FORM_FIELD = "username"
AXES_LOCKOUT_CALLABLE = "accounts.throttling.refuse"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # to try once more does not make the wait longer
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "Nightshift <nightshift@localhost>")
EMAIL = dj_email_url.parse(os.environ.get("EMAIL_URL") or f"file:///{DATA_DIR / 'mail'}")
# Ten minutes is what RFC 5321 asks for: the server may have taken a mail and be slow to say so. To give up on it
# would mean to send the mail twice.
vars().update({**EMAIL, "EMAIL_TIMEOUT": EMAIL["EMAIL_TIMEOUT"] or 600})
if EMAIL["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
    EMAIL_BACKEND = "mail.smtp.EmailBackend"  # which keeps its connection
SUMMARIES_PER_SECOND = float(os.environ.get("SUMMARIES_PER_SECOND", "20"))

# --- The browser's rules ----------------------------------------------------------------------------------------

FROM_STORE = [STORE_ORIGIN] if STORE_ORIGIN else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "img-src": [SELF, "data:", *FROM_STORE],
        "media-src": [SELF, "blob:", *FROM_STORE],
        "connect-src": [SELF, *FROM_STORE],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
if SITE_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = ["^health$"]  # load balancers ask by plain HTTP
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- The rest ---------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {
        "axes": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},  # they tell of every request
        "channels_redis": {"level": "CRITICAL"},  # a traceback each second while Valkey is away, which the clock tells
    },
}
