# leadtrace's server (`leadtrace serve`) with its embedded store, and its watch: not root, no shell needed to run or to check it.
# Built by docker-compose.yml; alone: docker build -t leadtrace . && docker run --rm leadtrace --help
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY examples/premium_insurance ./examples/premium_insurance
RUN python -m venv /opt/leadtrace \
 && /opt/leadtrace/bin/pip install --no-cache-dir --no-compile '.[serve,alerts]'

FROM python:3.13-slim
COPY --from=build /opt/leadtrace /opt/leadtrace
# The folder is made here, owned by the user that runs: a new named volume takes over its owner.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin leadtrace \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/leadtrace
ENV PATH=/opt/leadtrace/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LEADTRACE_STORE=/var/lib/leadtrace/store.db
USER 10001
VOLUME /var/lib/leadtrace
EXPOSE 4317 4318
# Python is all that the image has to ask with; urlopen raises, and so exits with 1, on every answer but a good one.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4318/healthz', timeout=4)"]
ENTRYPOINT ["leadtrace"]
# Off loopback it wants a token: mount a file with it here.
CMD ["serve", "--host", "0.0.0.0", "--token-file", "/run/secrets/leadtrace_token"]
