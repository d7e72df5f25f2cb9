# Two images from one file: `web` (no torch) and `worker` (with torch, for a GPU where there is one).
FROM node:22-bookworm-slim AS assets
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN useradd --system --uid 10001 --create-home leukolens \
    && mkdir -p /var/lib/leukolens && chown leukolens /var/lib/leukolens
COPY pyproject.toml constraints.txt README.md LICENSE ./
ENV VAR_DIR=/var/lib/leukolens MEDIA_ROOT=/var/lib/leukolens/media

FROM base AS dependencies
# Dependencies first and by themselves, so that a change of code does not install them again.
RUN mkdir -p config accounts diagnosis mlcore \
    && touch config/__init__.py accounts/__init__.py diagnosis/__init__.py mlcore/__init__.py \
    && pip install --constraint constraints.txt --editable .

FROM dependencies AS code
COPY manage.py ./
COPY config config
COPY accounts accounts
COPY diagnosis diagnosis
COPY mlcore mlcore
COPY templates templates
COPY static static
COPY scripts scripts
COPY --from=assets /app/node_modules node_modules
RUN python scripts/assets.py --installed \
    && rm -rf node_modules \
    && SECRET_KEY=only-for-collecting-static-files-0123456789-abcdefgh ALLOWED_HOSTS=build \
       DATABASE_URL=postgresql://build BROKER_URL=redis://build python manage.py collectstatic --noinput

FROM code AS web
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--workers", "3", "--threads", "4", "--no-control-socket", "--max-requests", "2000", "--max-requests-jitter", "200", "--access-logfile", "-"]

FROM dependencies AS torch
RUN pip install --constraint constraints.txt --editable ".[torch]"

FROM torch AS worker
COPY --from=code /app /app
USER 10001
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s \
    CMD ["sh", "-c", "celery -A config inspect ping --timeout 10 --destination celery@$(hostname)"]
CMD ["celery", "-A", "config", "worker", "--concurrency", "1", "--loglevel", "INFO"]
