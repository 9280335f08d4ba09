# The base image is an argument, so that a mirror or a stand-in can take its place.
ARG BASE_IMAGE=python:3.11.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG TORCH_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/ requirements/
RUN python3 -m venv /opt/haste \
    && /opt/haste/bin/pip install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} -r requirements/torch.txt \
    && /opt/haste/bin/pip install --require-hashes -r requirements/serve.lock
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY haste/ haste/
COPY app/ app/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/haste/bin/pip install --no-deps --no-index --find-links /dist haste-edge

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="haste-edge" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 haste \
    && useradd --uid 10001 --gid haste --no-create-home --home-dir /tmp --shell /usr/sbin/nologin haste
COPY --from=build /opt/haste /opt/haste
ENV PATH=/opt/haste/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HASTE_HOST=0.0.0.0 HASTE_PORT=8000
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['HASTE_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["haste"]
CMD ["serve"]
