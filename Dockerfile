# The command line in a container: the wheel with its models, no torch, no compiler, no root.
#
#   docker build -t zweitblick .
#   docker run --rm --read-only --tmpfs /tmp --network none --user "$(id -u)" \
#       -v "$PWD/study:/study:ro" -v "$PWD/results:/results" zweitblick read /study --out /results/reading

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE ./
COPY inference inference
COPY training training
COPY models models
RUN python -m venv /opt/zweitblick \
 && /opt/zweitblick/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim
COPY --from=build /opt/zweitblick /opt/zweitblick
RUN useradd --system --no-create-home --shell /usr/sbin/nologin zweitblick
USER zweitblick
ENV PATH=/opt/zweitblick/bin:$PATH PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["zweitblick"]
CMD ["--help"]
