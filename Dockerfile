# syntax=docker/dockerfile:1
# The default target has everything; `--target slim` indexes and serves with the built-in model only, without torch.
FROM python:3.11-slim AS venv
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements ./requirements
# All but torch by the hash of its file. One of model.txt may not be in a lock file, so these are two steps.
RUN python -m venv /venv && \
    /venv/bin/pip install --no-deps --require-hashes -r requirements/model.txt

FROM venv AS build-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN /venv/bin/pip install --no-deps --no-compile --require-hashes --only-binary :all: -r requirements/slim.txt
COPY pyproject.toml README.md LICENSE ./
COPY qa_service ./qa_service
COPY source_text ./source_text
RUN /venv/bin/pip install --no-deps --no-compile --no-build-isolation . && \
    /venv/bin/pip uninstall --yes --quiet hatchling pathspec pluggy tomlkit trove-classifiers setuptools pip
# Files that the service never reads: tests, sources of extensions, all but English of Babel, which only courlan asks for
# the name of a language, and symbols for debuggers. Libraries that lie beside a folder *.libs can't be stripped.
RUN find /venv -type d \( -name tests -o -path "*/onnx/backend/test" \) -prune -exec rm -r {} + && \
    find /venv -type f \( -name "*.pyi" -o -name "*.pyx" -o -name "*.pxd" -o -name "*.[ch]" -o -name "*.[ch]pp" \) -delete && \
    find /venv -path "*/babel/locale-data/*" ! -name root.dat ! -name "en*.dat" -delete && \
    find /venv -regex ".*/\(chardet\|httptools\|pypdfium2_raw\|python_calamine\|regex\|safetensors\|sentencex\|tokenizers\|uvloop\|watchfiles\|wrapt\|yaml\)/.*\.so" \
        -exec strip --strip-unneeded {} +
# Bytecode is written for the modules that are used.
RUN QA_CACHE_DIR=cache /venv/bin/qa-service index --source source_text --index index && \
    /venv/bin/python -c "import qa_service.cli.serve_command, qa_service.server.app, qa_service.server.process"

FROM venv AS build
# The CPU build of torch: the one from PyPI brings gigabytes of CUDA.
RUN /venv/bin/pip install --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 && \
    /venv/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements/lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY qa_service ./qa_service
COPY source_text ./source_text
RUN /venv/bin/pip install --no-deps --no-build-isolation . && /venv/bin/pip check
RUN QA_CACHE_DIR=cache /venv/bin/qa-service index --source source_text --index index

FROM python:3.11-slim AS service
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    QA_SOURCE=/app/source_text QA_INDEX=/app/index QA_CACHE_DIR=/app/cache QA_DATA=/app/data QA_HOST=0.0.0.0 QA_PORT=8000
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin qa
WORKDIR /app
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["qa-service", "serve"]

FROM service AS slim
COPY --from=build-slim /venv /venv
COPY --from=build-slim /app/source_text /app/source_text
COPY --from=build-slim /app/cache /app/cache
COPY --from=build-slim /app/index /app/index

FROM service
COPY --from=build /venv /venv
COPY --from=build /app/source_text /app/source_text
COPY --from=build /app/cache /app/cache
COPY --from=build /app/index /app/index
