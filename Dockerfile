# One image for aggregator, device and links: `docker run IMAGE aggregator ...`, `docker run IMAGE device ...`.
# The base can be replaced: --build-arg BASE=arm64v8/python:3.11-slim-bookworm
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
WORKDIR /source
COPY pyproject.toml constraints.txt ./
# What others wrote, alone, so that a changed source file of ours does not install it again.
RUN python3 -m venv /opt/nonn \
 && python3 -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*project["dependencies"], *project["optional-dependencies"]["aggregator"], sep="\n")' > /tmp/requirements.txt \
 && /opt/nonn/bin/pip install --no-cache-dir --quiet -c constraints.txt -r /tmp/requirements.txt

FROM packages AS ours
COPY . .
RUN /opt/nonn/bin/pip install --no-cache-dir --quiet --no-deps --prefix /opt/ours . \
 && install -m 644 docker/healthcheck.py /opt/ours/healthcheck.py

FROM packages AS slim
RUN /opt/nonn/bin/pip uninstall --quiet --yes pip setuptools

FROM ${BASE}
COPY --from=slim /opt/nonn /opt/nonn
# A layer of its own: a new version of ours takes two megabytes on disk and not two hundred.
COPY --from=ours /opt/ours /opt/nonn
ENV PATH=/opt/nonn/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/state
RUN useradd --system --no-create-home --uid 10001 nonn && install -d -o nonn /state
USER nonn
VOLUME /state
EXPOSE 7560
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=2 CMD ["python3", "/opt/nonn/healthcheck.py"]
ENTRYPOINT ["nonn"]
CMD ["--help"]
