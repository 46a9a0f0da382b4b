# The course and its grader, at the versions of requirements.lock:
#   docker build --tag llmlabs .
#   docker run --rm --publish 127.0.0.1:8888:8888 --volume "$PWD/work:/course/work" llmlabs
# Grading needs to make a sandbox inside the container; docs/instructors.md says which rights that takes.
FROM python:3.11.13-slim-bookworm

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 learner \
    && install --directory --owner=learner --group=learner /course

USER learner
WORKDIR /course
ENV PATH="/course/.venv/bin:$PATH" PIP_NO_CACHE_DIR=1 HF_HUB_OFFLINE=1

# the packages first: they change less often than the course
COPY --chown=learner Makefile pyproject.toml requirements.lock README.md LICENSE ./
COPY --chown=learner llmlabs/__init__.py llmlabs/__init__.py
RUN make setup
COPY --chown=learner . .
# the package again, now whole; the other packages are there
RUN make setup

EXPOSE 8888
CMD ["llmlabs", "lab", "--ip", "0.0.0.0"]
