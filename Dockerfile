# One image for aggregator and device: `docker run IMAGE aggregator ...`, `docker run IMAGE device ...`.
# The base can be replaced: --build-arg BASE=arm64v8/python:3.11-slim-bookworm
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
# The dependencies alone, so that a changed source file does not install them again.
RUN python3 -m venv /opt/nonn \
 && python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > /tmp/requirements.txt \
 && /opt/nonn/bin/pip install --no-cache-dir --quiet -c constraints.txt -r /tmp/requirements.txt
COPY . .
RUN /opt/nonn/bin/pip install --no-cache-dir --quiet -c constraints.txt ".[aggregator]" \
 && /opt/nonn/bin/pip uninstall --quiet --yes pip setuptools

FROM ${BASE}
COPY --from=build /opt/nonn /opt/nonn
COPY docker/healthcheck.py /opt/nonn/healthcheck.py
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
