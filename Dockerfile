# Build:  docker build -t monitord .
# Run:    docker run --init -v monitord:/var/lib/monitord -p 127.0.0.1:9464:9464 monitord
# Without MONITORD_DATABASE_URL it keeps a private Postgres in the volume. The gRPC API listens inside the container
# alone until MONITORD_HOST is set, and then wants TLS or MONITORD_ALLOW_PLAINTEXT: see README.md and deploy/compose.yaml.
# Metrics and heartbeats listen to all of the container's network in plain text: publish them where that is right.

FROM python:3.13-slim-bookworm AS build
WORKDIR /build
# The packages that monitord needs, by themselves: a change of its code does not install them again.
COPY constraints.txt pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && python -m venv --without-pip /opt/monitord \
    && pip --python /opt/monitord/bin/python install --no-cache-dir -c constraints.txt -r requirements.txt
COPY README.md ./
COPY src src
COPY clients/python clients/python
# The pinned build backend, in an environment that stays behind in this stage. What monitorctl needs, monitord needs too.
RUN pip install --no-cache-dir -c constraints.txt hatchling \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation -w wheels . ./clients/python \
    && pip --python /opt/monitord/bin/python install --no-cache-dir --no-deps wheels/*.whl

FROM python:3.13-slim-bookworm
RUN groupadd --system --gid 10001 monitord \
    && useradd --system --uid 10001 --gid monitord --create-home --home-dir /var/lib/monitord monitord
COPY --from=build /opt/monitord /opt/monitord
ENV PATH=/opt/monitord/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MONITORD_STATE_DIR=/var/lib/monitord/state \
    MONITORD_METRICS_HOST=0.0.0.0 \
    MONITORD_PING_HOST=0.0.0.0 \
    MONITORD_ALLOW_PLAINTEXT_HTTP=true
USER 10001:10001
WORKDIR /var/lib/monitord
VOLUME /var/lib/monitord
EXPOSE 50051 9464 9467
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s CMD ["monitord", "health"]
ENTRYPOINT ["monitord"]
CMD ["run"]
