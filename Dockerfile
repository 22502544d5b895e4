# syntax=docker/dockerfile:1
# The service alone: no torch, no shell tools of ours, not root; runs with a read-only root file system.
#
#   docker build -t zweitblick .
#   docker run --read-only --tmpfs /tmp -v zweitblick-data:/data -v zweitblick-keys:/keys zweitblick

FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml constraints.txt requirements.lock requirements-build.lock README.md CHANGELOG.md LICENSE ./
COPY inference inference
COPY training training
COPY models models
# The extras hsm, openvino, postgres and telemetry are in the lock (make lock). What builds our wheel is in a lock, too.
RUN python -m venv /opt/zweitblick \
    && /opt/zweitblick/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.lock \
    && /opt/build/bin/pip wheel --no-build-isolation --no-index --no-deps --wheel-dir /opt/wheel . \
    && /opt/zweitblick/bin/pip install --no-index --no-deps /opt/wheel/*.whl

# A study for the image to read while it is built; what writes it is not in the image.
FROM build AS sample
RUN /opt/zweitblick/bin/pip install --no-cache-dir --constraint constraints.txt "$(echo /opt/wheel/*.whl)[sample]" \
    && /opt/zweitblick/bin/zweitblick sample /study

FROM python:3.11-slim-bookworm
COPY --from=build /opt/zweitblick /opt/zweitblick
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin zweitblick \
    && mkdir /data /keys && chown zweitblick:zweitblick /data /keys && chmod 700 /data /keys
# Keys lie on a volume of their own, so that no copy of the data holds them.
ENV PATH=/opt/zweitblick/bin:$PATH \
    HOME=/data \
    XDG_CACHE_HOME=/data/cache \
    ZWEITBLICK_DATA=/data/store \
    ZWEITBLICK_KEY_FILE=/keys/key \
    ZWEITBLICK_LOG_FORMAT=json
USER 10001:10001
# Shows that the image reads a study, and leaves the machine code of its loops in /data/cache (docs/install.md).
RUN --mount=type=bind,from=sample,source=/study,target=/study \
    zweitblick read /study --out /tmp/results && rm -r /tmp/results
VOLUME ["/data", "/keys"]
EXPOSE 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=5)"]
ENTRYPOINT ["zweitblick"]
CMD ["serve"]
