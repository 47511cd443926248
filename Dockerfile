# One image for client, scheduler and workers; what differs is the command. The variant says what it can do beside the CPU:
#   docker build -t montage-dask:latest .
#   docker build -t montage-dask:latest-gpu  --build-arg VARIANT=gpu .
#   docker build -t montage-dask:latest-cgpu --build-arg VARIANT=cgpu --build-arg CGPU_PACKAGE=./cgpu-0.1.4.tgz .
# Nothing of the variants that are not built is run (BuildKit). `python specs/pin_images.py` writes the digests of the base images that a
# registry has now behind their names; then a build takes these and no others.
ARG VARIANT=cpu

FROM python:3.11-slim-bookworm AS python
# tini: ends with its child, and buries the ffmpeg children of workers that were killed.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "tini=0.19.*" \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ARG VARIANT
ARG EXTRAS=accurate,kubernetes,librosa,redis,upscale,director,s3,gcs
# PyPI's torch brings 4 GB of CUDA, and its torchaudio cannot be imported beside a torch without it: a CPU image takes both from here.
ARG CPU_TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PATH=/opt/montage/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
RUN python3 -m venv /opt/montage
# The dependencies first, by the project's own list, which has the versions: they stay when only its code changes.
COPY pyproject.toml README.md ./
COPY montage_dask/_version.py montage_dask/
RUN python -c 'import tomllib; from pathlib import Path; \
wanted = tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"]; \
print(*(w for w in wanted if w.startswith(("torch>", "torchaudio>"))), sep="\n")' > torch.txt
RUN test "$VARIANT" = gpu || pip install --index-url "$CPU_TORCH_INDEX" --requirement torch.txt
RUN touch montage_dask/__init__.py
# OpenCV opens no windows here: its headless build does without 250 MB of libGL and Qt.
# hadolint ignore=DL3013
RUN if test "$VARIANT" = gpu; then EXTRAS="$EXTRAS,gpu"; fi \
    && pip install ".[$EXTRAS]" \
    && opencv=$(pip list --format=freeze | sed -n 's/^opencv-python==//p') \
    && pip uninstall --yes montage-dask opencv-python \
    && pip install --no-deps "opencv-python-headless==$opencv"
COPY montage_dask montage_dask
COPY specs specs
# Plugs its operations in: workers without it cannot train. It needs nothing beside the package.
COPY training training
# What runs needs no pip.
RUN rm -rf build ./*.egg-info \
    && pip install --no-deps . ./training \
    && pip uninstall --yes pip

FROM python AS variant-cpu

FROM python AS variant-gpu
# Without "video" the driver keeps NVENC and NVDEC back.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video

FROM node:20-bookworm-slim AS node
# The name of an npm package, the address of a tarball, or the path of one that lies beside this file: ./cgpu-0.1.4.tgz.
ARG CGPU_PACKAGE=cgpu@0.1.4
WORKDIR /package
COPY pyproject.toml cgpu*.tgz ./
# hadolint ignore=DL3016
RUN npm install --global --prefix /opt/cgpu --no-audit --no-fund "$CGPU_PACKAGE" \
    && npm cache clean --force \
    && test -e /opt/cgpu/bin/cgpu

FROM python AS variant-cgpu
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /opt/cgpu /opt/cgpu

# hadolint ignore=DL3006
FROM variant-${VARIANT} AS montage
ARG VARIANT
ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="montage-dask" \
      org.opencontainers.image.description="Beat-synced video montage on Dask: client, scheduler and workers ($VARIANT)" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="BSD-3-Clause"
# /montage: footage, music, outputs, artefacts. /scratch: what a worker may lose. /tls: certificates. Open to all users of the container,
# because people run it with their own id, so that outputs are theirs.
RUN groupadd --gid 10001 montage \
    && useradd --uid 10001 --gid montage --no-create-home --home-dir /scratch montage \
    && install -d -o montage -g montage /montage \
    && install -d -m 1777 /scratch /tls
COPY --from=build /opt/montage /opt/montage
ENV PATH=/opt/montage/bin:/opt/cgpu/bin:$PATH \
    HOME=/scratch \
    TMPDIR=/scratch \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /montage
# A library that is missing shows here, not in the first job.
RUN python -c "import av, cv2, librosa, torchaudio, montage_dask.cli, montage_dask_training" \
    && find /scratch -mindepth 1 -delete
# No HEALTHCHECK: a client has nothing to ask; compose.yaml and the pods' probes ask schedulers and workers.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["python", "-m", "montage_dask", "--help"]
