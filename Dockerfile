# One image for the daemon (`run`, the default) and for the reference Charter (`charter --sandbox`): the binary, what it
# links to, nothing else. No shell, no root, nothing to write but /app/data (store) and /app/logs (reports, backups).
#
# How to run it by itself: docs/DEPLOYMENT.md.
#
# Both bases are arguments, for a registry of one's own. No syntax that the classic builder does not know.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
# glibc, certificates, time zones and a user without rights.
ARG RUNTIME_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
# The dependencies by themselves: a layer that only another Cargo.lock makes stale.
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs && cargo build --release --locked && rm -r src
COPY src src
# Older than the empty ones as COPY left them, so cargo would take those for current.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked
# Folders for the final image, which has no mkdir, and the one library that its base lacks.
RUN mkdir -p /app/config /app/data /app/logs && cp "$(gcc -print-file-name=libgcc_s.so.1)" /usr/local/lib/

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="mape-k" \
      org.opencontainers.image.description="Keeps a distributed system healthy by itself, and says why" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /usr/local/lib/libgcc_s.so.1 /usr/lib/
COPY --from=build /build/target/release/mape-k /usr/local/bin/mape-k
# A named volume takes over the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /app /app
# There is no place for temporary files but beside the store.
ENV SQLITE_TMPDIR=/app/data
# Only published ports of a container can be reached; outside one the API listens on loopback.
ENV MAPE_K_API_HOST=0.0.0.0
WORKDIR /app
USER 65532:65532
EXPOSE 8001 5000
# By the binary itself. Charter's container asks its own port (docker-compose.staging.yml).
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/mape-k", "health"]
ENTRYPOINT ["/usr/local/bin/mape-k"]
CMD ["run"]
