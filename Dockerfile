# The base image is an argument, so that a mirror or a stand-in can take its place. Nothing here depends on the
# processor: `--platform linux/arm64` compiles the portable kernel, linux/amd64 that and those for AVX2 and AVX-512.
ARG BASE_IMAGE=python:3.11.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG TORCH_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src

RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/haste
COPY requirements/ requirements/
RUN /opt/build/bin/pip --python /opt/haste/bin/python install \
        ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} -r requirements/torch.txt \
    && /opt/build/bin/pip --python /opt/haste/bin/python install --require-hashes -r requirements/serve.lock \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.lock
# What the service never reads: headers, tests and tools of torch, type stubs, the symbols of a debugger, and bytecode,
# which is written below for what is used.
RUN packages=$(echo /opt/haste/lib/python3.*/site-packages) \
    && rm -rf "$packages"/torch/include "$packages"/torch/share "$packages"/torch/test "$packages"/torch/lib/*test*.so \
    && find "$packages/torch/bin" -mindepth 1 ! -name torch_shm_manager -delete \
    && find "$packages" -name tests -type d -prune ! -path '*/numpy/*' -exec rm -rf {} + \
    && find "$packages" '(' -name '*.pyi' -o -name '*.pyc' ')' -delete \
    && strip --strip-unneeded "$packages"/torch/lib/libtorch_cpu.so "$packages"/torch/lib/libtorch_python.so

# Where the base has Debian's own Python, the headers to compile against come apart from it.
# hadolint ignore=DL3008
RUN test -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
    || (apt-get update && apt-get install --yes --no-install-recommends python3-dev && rm -rf /var/lib/apt/lists/*)

COPY pyproject.toml README.md LICENSE ./
COPY haste/ haste/
COPY app/ app/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/haste/bin/python install --no-deps --no-index --find-links /dist haste-edge
# A first run proves that what is left computes, natively, and writes the bytecode of just the modules that are used.
WORKDIR /tmp
RUN export PYTHONDONTWRITEBYTECODE= \
    && /opt/haste/bin/haste classify /src/haste/samples/cat.jpg \
    && /opt/haste/bin/python -c "import app.cli, app.engine, app.probe; from haste import kernel; \
        assert kernel.implementation() != kernel.REFERENCE, 'the native kernel was not built'"

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="haste-edge" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 haste \
    && useradd --uid 10001 --gid haste --no-create-home --home-dir /tmp --shell /usr/sbin/nologin haste \
    && install --directory --owner haste --group haste --mode 0700 /var/lib/haste
COPY --from=build /opt/haste /opt/haste
ENV PATH=/opt/haste/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HASTE_HOST=0.0.0.0 HASTE_PORT=8000
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-m", "app.probe"]
ENTRYPOINT ["haste"]
CMD ["serve"]
