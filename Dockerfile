# syntax=docker/dockerfile:1

# --- build: everything is installed, by hash, into one virtual environment ---
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

RUN python -m venv /opt/chronika
WORKDIR /src

# the lock first: a change of the code does not install the packages again
COPY requirements.lock ./
RUN /opt/chronika/bin/pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY migrations migrations
# setuptools and pip were only needed to install
RUN /opt/chronika/bin/pip install --no-deps --no-build-isolation . \
    && /opt/chronika/bin/pip uninstall --yes setuptools pip

# --- the image that runs: the environment and a user without rights ---
FROM python:3.11-slim-bookworm

RUN groupadd --gid 10001 chronika \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin chronika \
    && install --directory --owner chronika --group chronika --mode 0700 /data

COPY --from=build /opt/chronika /opt/chronika

# Nothing is written outside /tmp and /data, so the root file system may be read-only.
# /data is used by the embedded server alone, which stays in the image (40 MB) for trying the service out:
# with CHRONIKA_DATABASE_URL set it is neither started nor written.
ENV PATH=/opt/chronika/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CHRONIKA_DATA_DIR=/data

USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM

# /livez asks no database: an unreachable database must not have the container killed
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]

ENTRYPOINT ["chronika"]
CMD ["serve", "--host", "0.0.0.0"]
