# One file for CPU and CUDA:
#   docker build -t lipstream:cpu .
#   docker build -t lipstream:cuda --build-arg TORCH=cuda .
ARG PYTHON_VERSION=3.11
ARG BASE=python:${PYTHON_VERSION}-slim-bookworm

# The wheel: the four packages, with the page, the model, the avatars and the migrations.
FROM ${BASE} AS wheel
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv --without-pip /opt/build \
 && python -m pip --python /opt/build/bin/python install --no-cache-dir --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY accel/ accel/
COPY models/ models/
COPY server/ server/
COPY clients/ clients/
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /wheel

# Dependencies of the wheel: a layer of its own, because it is large and changes seldom.
FROM ${BASE} AS dependencies
# cpu is a fifth of the size. The CUDA build is what the default package index serves; its wheels bring CUDA along,
# so that the host needs the driver and NVIDIA's container toolkit only.
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS="server hallo trace c2pa"
WORKDIR /source
COPY constraints.txt pyproject.toml docker/requirements.py ./
# The default index has the CPU build only where pip is configured with a copy of it; PyTorch's own index comes second.
RUN python -m venv --without-pip /opt/lipstream \
 && python requirements.py torch "${TORCH}" > torch.txt \
 && install="python -m pip --python /opt/lipstream/bin/python install --no-cache-dir --constraint constraints.txt" \
 && { $install --requirement torch.txt || $install --extra-index-url "${TORCH_INDEX}" --requirement torch.txt; }
RUN python requirements.py wheel ${EXTRAS} > wheel.txt \
 && python -m pip --python /opt/lipstream/bin/python install --no-cache-dir --constraint constraints.txt --requirement wheel.txt

# pip's --root installs the wheel's files alone, at their final paths.
FROM dependencies AS application
COPY --from=wheel /wheel/ /wheel/
RUN python -m pip --python /opt/lipstream/bin/python install --no-cache-dir --no-deps --root /application /wheel/*.whl

FROM ${BASE}
ARG TORCH=cpu
LABEL org.opencontainers.image.title="Lipstream" \
      org.opencontainers.image.description="Real-time talking heads over a WebSocket" \
      org.opencontainers.image.licenses="Apache-2.0" \
      lipstream.torch="${TORCH}"
# The base image's own tools for installing packages are not needed.
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/bin/pip* \
 && groupadd --gid 10001 lipstream \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin lipstream \
 && install -d -o 10001 -g 10001 -m 700 /data
COPY --from=dependencies /opt/lipstream/ /opt/lipstream/
COPY --from=application /application/ /
# The root file system may be read-only: persistent data goes to /data, temporary files to /tmp.
ENV PATH=/opt/lipstream/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LIPSTREAM_HOST=0.0.0.0 \
    LIPSTREAM_PORT=8000 \
    LIPSTREAM_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["lipstream"]
CMD ["serve"]
