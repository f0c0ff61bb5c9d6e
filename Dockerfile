# syntax=docker/dockerfile:1
# Candor in two images: `map`, the application as a MONAI Application Package 1.0.0, and `gateway`, the DICOM node.
# Research use only, not for diagnosis. How to build and run: docs/how-to/build-the-map.md.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

# Wheels that no index has for the build: --build-context wheels=FOLDER fills this stage.
FROM scratch AS wheels

# A stage of its own: only a change of what is wanted installs again.
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS wanted
WORKDIR /src
COPY pyproject.toml deploy/map/requirements.py ./
RUN python3 requirements.py pyproject.toml --extra sdk > map.txt \
 && python3 requirements.py pyproject.toml --extra node > gateway.txt

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS packages
# torch alone comes from its own index, and everything else from pip's: a package is never looked for in two places,
# where the one with the higher version would win.
# CUDA: --build-arg TORCH=torch==2.13.0 --build-arg TORCH_INDEX=
ARG TORCH=torch==2.13.0+cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# pip's index, its password and the authority of a proxy come as secrets: nothing of them stays in a layer.
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY constraints.txt ./
COPY --from=wanted /src/map.txt ./
RUN --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=pip.conf \
    --mount=type=secret,id=ca.pem \
    python3 -m venv --without-pip /opt/venv \
 && python3 -m venv /opt/pip \
 && /opt/pip/bin/pip --python /opt/venv/bin/python3 install --no-compile --no-deps --find-links /wheels \
      ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} "${TORCH}" \
 && /opt/pip/bin/pip --python /opt/venv/bin/python3 install --no-compile --find-links /wheels \
      "${TORCH}" --requirement map.txt --constraint constraints.txt
# holoscan's wheel finishes its own installation at the first start of the interpreter, which root must do.
# Test suites and C++ headers never run; bytecode that is compiled here need not be at every start.
RUN /opt/venv/bin/python3 -c pass \
 && rm -rf /opt/venv/lib/python3*/site-packages/torch/test /opt/venv/lib/python3*/site-packages/torch/include \
 && /opt/venv/bin/python3 -m compileall -q -j 0 -x torch/testing/_internal --invalidation-mode unchecked-hash /opt/venv/lib

FROM packages AS node-packages
COPY --from=wanted /src/gateway.txt ./
RUN --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=pip.conf \
    --mount=type=secret,id=ca.pem \
    touch before \
 && /opt/pip/bin/pip --python /opt/venv/bin/python3 install --no-compile --find-links /wheels \
      --requirement gateway.txt --constraint constraints.txt \
 && find /opt/venv -newer before -name '*.py' > modules \
 && /opt/venv/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -i modules
WORKDIR /
RUN mkdir added && find opt/venv -newer src/before ! -type d -exec cp --archive --parents --target-directory added '{}' +

FROM packages AS code
WORKDIR /opt/holoscan/app
COPY __main__.py app.py ./
COPY candor candor
COPY operators operators
COPY app.yaml /src/
COPY models /src/models
COPY deploy /src/deploy
RUN PYTHONPATH=/opt/holoscan/app:/src /opt/venv/bin/python3 -m deploy.map.manifests \
      /src/app.yaml /src/models /etc/holoscan \
 && /opt/venv/bin/python3 -m compileall -q --invalidation-mode unchecked-hash .

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS runtime
RUN groupadd --gid 10001 holoscan \
 && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /var/holoscan \
      --shell /usr/sbin/nologin holoscan \
 && install -d -o 10001 -g 10001 /var/holoscan /var/holoscan/input /var/holoscan/output /var/holoscan/logs
COPY --from=packages /opt/venv /opt/venv
COPY models /opt/holoscan/models
COPY app.yaml /var/holoscan/app.yaml
COPY --from=code /opt/holoscan/app /opt/holoscan/app
# /tmp is the one place that a run writes to beside its output, so the root file system may be read-only.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001

FROM runtime AS gateway
ARG VERSION=0.1.0
ARG REVISION=unknown
USER 0:0
COPY --from=node-packages /added /
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/candor
COPY gateway /opt/holoscan/app/gateway
COPY deploy/node/gateway.yaml /etc/candor/gateway.yaml
RUN /opt/venv/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /opt/holoscan/app/gateway
LABEL org.opencontainers.image.title="Candor node" \
      org.opencontainers.image.description="Chest X-ray inference node for a PACS. Research use only, not for diagnosis." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /opt/holoscan/app
VOLUME /var/lib/candor
EXPOSE 11112 8080 8081
USER 10001:10001
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s \
    CMD ["python3", "-m", "gateway", "echo", "--to", "node", "--config", "/etc/candor/gateway.yaml"]
ENTRYPOINT ["python3", "-m", "gateway"]
CMD ["serve", "--config", "/etc/candor/gateway.yaml"]

FROM runtime AS map
ARG VERSION=0.1.0
ARG REVISION=unknown
COPY LICENSE README.md CHANGELOG.md /opt/holoscan/docs/
COPY docs /opt/holoscan/docs/docs
COPY --from=code /etc/holoscan /etc/holoscan
COPY --chmod=0755 deploy/map/tools /var/holoscan/tools
ENV HOLOSCAN_APPLICATION=/opt/holoscan/app \
    HOLOSCAN_INPUT_PATH=/var/holoscan/input \
    HOLOSCAN_OUTPUT_PATH=/var/holoscan/output \
    HOLOSCAN_WORKDIR=/var/holoscan \
    HOLOSCAN_MODEL_PATH=/opt/holoscan/models \
    HOLOSCAN_CONFIG_PATH=/var/holoscan/app.yaml \
    HOLOSCAN_APP_MANIFEST_PATH=/etc/holoscan/app.json \
    HOLOSCAN_PKG_MANIFEST_PATH=/etc/holoscan/pkg.json \
    HOLOSCAN_DOCS=/opt/holoscan/docs \
    HOLOSCAN_DOCS_PATH=/opt/holoscan/docs \
    HOLOSCAN_LOGS=/var/holoscan/logs \
    HOLOSCAN_LOGS_PATH=/var/holoscan/logs
LABEL org.opencontainers.image.title="Candor CXR" \
      org.opencontainers.image.description="Chest radiographs to findings, or to a radiologist. Research use only, not for diagnosis." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.monai.deploy.app-sdk="4.0.0" \
      org.nvidia.holoscan="4.2.0"
WORKDIR /var/holoscan
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["/var/holoscan/tools", "health"]
ENTRYPOINT ["/var/holoscan/tools"]
