# Built in one image, run in another, so that nothing that builds is there to be attacked.
# That image has a C compiler, and the slim one has not.
FROM python:3.13 AS build
WORKDIR /src
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "uv==0.13.8"]
ENV FAREGATE_COMPILE=1 UV_PROJECT_ENVIRONMENT=/opt/faregate UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
# What we depend on changes less often than we do, so it has a layer of its own.
COPY pyproject.toml uv.lock ./
RUN ["uv", "sync", "--locked", "--no-dev", "--extra", "postgres", "--extra", "redis", "--no-install-project"]
COPY . .
RUN ["uv", "sync", "--locked", "--no-dev", "--extra", "postgres", "--extra", "redis", "--no-editable"]
RUN ["install", "--directory", "--owner=10001", "--group=10001", "--mode=0700", "/data"]

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Faregate" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/faregate /opt/faregate
COPY --from=build --chown=10001:10001 /data /data
# The root may be read-only: /data is the only place that is ever written.
ENV PATH=/opt/faregate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/data \
    FAREGATE_SERVER__HOST=0.0.0.0 \
    FAREGATE_SERVER__PORT=8080 \
    FAREGATE_STORAGE__DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["faregate"]
CMD ["up", "--quiet"]
