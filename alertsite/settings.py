"""Every setting of the server: read once from the environment (and `.env`), failing loudly by name."""

import os
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")  # the environment wins: what is set already is kept


def text(name: str, default: str = "") -> str:
    """The variable as text; unset and empty mean the default."""
    return os.environ.get(name, "").strip() or default  # not through environ, which takes "$…" for a reference


def whole(name: str, default: int, at_least: int = 0, at_most: int = 10**9) -> int:
    """The variable as a whole number from `at_least` to `at_most`."""
    raw = text(name, str(default))
    if not re.fullmatch(r"\d{1,10}", raw, re.ASCII) or not at_least <= int(raw) <= at_most:
        raise ImproperlyConfigured(f"{name}: {raw!r} is not a whole number from {at_least} to {at_most}")
    return int(raw)


def flag(name: str, default: bool) -> bool:
    """The variable as yes or no."""
    raw = text(name, "true" if default else "false").lower()
    if raw in ("1", "true", "yes", "on"):
        return True
    if raw in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name}: {raw!r} is neither true nor false")


def listed(name: str, default: list[str]) -> list[str]:
    """The variable as a comma-separated list."""
    raw = text(name)
    return [part.strip() for part in raw.split(",") if part.strip()] if raw else default


def origin_of(name: str, url: str) -> str:
    """`scheme://host[:port]` of a web address, checked."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ImproperlyConfigured(f"{name}: {url!r} is not an http or https address")
    return f"{parts.scheme}://{parts.netloc}"


def database(url: str) -> dict[str, Any]:
    """Django's database settings for a URL, with what each engine needs to hold under load.

    SQLite: its defaults fail most concurrent transactions; WAL and an immediate lock let them queue.
    PostgreSQL: connections come from a pool and are tried before use, so a restart costs nobody an error.
    """
    scheme = url.partition(":")[0]  # all that an error may show: the rest can hold a password
    try:
        config = dict(environ.Env.db_url_config(url))
    except (environ.ImproperlyConfigured, ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"DATABASE_URL: a {scheme!r} address that cannot be read") from error
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        config["TEST"] = {"NAME": str(BASE_DIR / "var" / "test.sqlite3")}
        return config
    if config["ENGINE"] == "django.db.backends.postgresql":
        # Per process. An empty pool tries to connect for each who asks, so it is back as soon as the server is.
        pool = {"min_size": 0, "max_size": 10, "timeout": 5, "reconnect_timeout": 1}
        config["OPTIONS"] = {"connect_timeout": 5, **config.get("OPTIONS", {}), "pool": pool}
        config["CONN_HEALTH_CHECKS"] = True
        return config
    raise ImproperlyConfigured(f"DATABASE_URL: {scheme!r} is neither sqlite:///path nor postgres://…")


def redis_url(url: str) -> str:
    """The address of a Redis server, checked; empty: there is none."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("redis", "rediss") or not parts.hostname):
        raise ImproperlyConfigured(f"REDIS_URL: a {parts.scheme!r} address that is not redis://host:port/number")
    return url


def channel_layer(url: str) -> dict[str, Any]:
    """How processes tell each other of alerts. In one process it only holds what the hub has not taken yet."""
    if not url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 20_000}}
    patience = {"retry": AsyncRetry(ExponentialBackoff(cap=0.5, base=0.05), 3), **REDIS_TIMES}
    # Published messages know no database number; in the prefix it keeps two sites on one Redis apart.
    prefix = f"alertsite{urlsplit(url).path.strip('/') or 0}"
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": url, **patience}], "prefix": prefix},
    }


def cache(url: str) -> dict[str, Any]:
    """What processes share for a while."""
    if not url:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    patience = {"retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3), **REDIS_TIMES}
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "alertsite",
        "OPTIONS": patience,
    }


REDIS_TIMES = {"socket_connect_timeout": 2, "socket_timeout": 5, "health_check_interval": 15}  # s
PORT = whole("PORT", 8088, at_least=1, at_most=65_535)
MEDIA_PORT = whole("MEDIA_PORT", min(PORT + 1, 65_535), at_least=1, at_most=65_535)
PUBLIC_URL = text("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
OWN_ORIGIN = origin_of("PUBLIC_URL", PUBLIC_URL)
HTTPS = OWN_ORIGIN.startswith("https://")

DEBUG = flag("DJANGO_DEBUG", False)
SECRET_KEY = text("DJANGO_SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("DJANGO_SECRET_KEY is not set; `make run` writes one into .env")
ALLOWED_HOSTS = listed(
    "DJANGO_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]", urlsplit(OWN_ORIGIN).hostname or "localhost"]
)

ALERT_ENABLE_AUTH = flag("ALERT_ENABLE_AUTH", True)
ALERT_SERVER_JWT_SECRET = text("ALERT_SERVER_JWT_SECRET")
if ALERT_ENABLE_AUTH and len(ALERT_SERVER_JWT_SECRET.encode()) < 32:
    raise ImproperlyConfigured("ALERT_SERVER_JWT_SECRET must have 32 bytes or more; `make run` writes one into .env")
if not ALERT_SERVER_JWT_SECRET:  # auth is off and there is no secret: nobody's token may pass for one of ours
    ALERT_SERVER_JWT_SECRET = secrets.token_urlsafe(48)
ALERT_ALLOWED_ORIGINS = [
    origin_of("ALERT_ALLOWED_ORIGINS", url)
    for url in listed("ALERT_ALLOWED_ORIGINS", [OWN_ORIGIN, "http://localhost:3000"])
]
ALERT_COOLDOWN_MS = whole("ALERT_COOLDOWN_MS", 5000)
ALERT_MAX_SUBSCRIBERS = whole("ALERT_MAX_SUBSCRIBERS", 10_000, at_least=1)
ALERT_MAX_SUBSCRIBERS_PER_USER = whole("ALERT_MAX_SUBSCRIBERS_PER_USER", 100, at_least=1)
ALERT_CALL_CORRELATION = flag("ALERT_CALL_CORRELATION", True)
MEDIA_TOKEN = text("MEDIA_TOKEN")

(BASE_DIR / "var").mkdir(exist_ok=True)
DATABASES = {"default": database(text("DATABASE_URL", f"sqlite:///{BASE_DIR / 'var' / 'alertsite.sqlite3'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = redis_url(text("REDIS_URL"))
CHANNEL_LAYERS = {"default": channel_layer(REDIS_URL)}
CACHES = {"default": cache(REDIS_URL)}

INSTALLED_APPS = [
    "daphne",  # before staticfiles: it serves `runserver`
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "alerts",
    "alertsite",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "alertsite.urls"
ASGI_APPLICATION = "alertsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

STATIC_URL = "/static/"
SERVESTATIC_USE_FINDERS = True  # files are served from the apps: nothing to collect, nothing to forget
SERVESTATIC_AUTOREFRESH = DEBUG

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

CSRF_TRUSTED_ORIGINS = [OWN_ORIGIN]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "alerts.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "alerts.failures.answer",
    "DEFAULT_PARSER_CLASSES": ["alerts.parsers.StrictJSONParser"],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024  # a list of 1,000 long alerts
SIMPLE_JWT = {
    "SIGNING_KEY": ALERT_SERVER_JWT_SECRET,
    "ALGORITHM": "HS256",
    "USER_ID_FIELD": "username",
    "USER_ID_CLAIM": "sub",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {name: {"handlers": ["stderr"], "level": "INFO"} for name in ("alertsite", "alerts", "analysis")}
    # That Redis or PostgreSQL is away is said once, by what waits for them; these say it every second.
    | {name: {"level": "CRITICAL"} for name in ("channels_redis.pubsub", "psycopg.pool")},
}

DEMO = flag("DEMO", True)
DEMO_PASSWORD = text("DEMO_PASSWORD")
