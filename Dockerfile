# The proxy alone: one static binary, the roots of trust, no shell, no package manager.
#
#   docker build -t connector-cache .
#   docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges -p 8080:8080 connector-cache
#   docker run --rm -p 8080:8080 -p 9090:9090 connector-cache demo

# The compiler runs on the architecture of the building machine and compiles for that of the image, so that
# `docker buildx build --platform linux/amd64,linux/arm64` needs no emulation. Its other steps only copy files.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS build
WORKDIR /src
# What may come in is listed in .dockerignore.
COPY . .
# Counted by the metric build_info.
ARG REVISION=unknown
# Set by the builder: amd64 or arm64.
ARG TARGETARCH
ARG PROFILE=dist
ENV CONNECTOR_CACHE_REVISION=${REVISION}
# Crates and what was built of them outlive the layer: a change of the source builds the source only. It is always
# built: to cargo a file that went back to an older version looks like one that was built already.
RUN --mount=type=cache,id=connector-cache-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=connector-cache-target,target=/src/target \
    touch src/*.rs crates/*/src/*.rs \
 && tools/image/compile.sh "${TARGETARCH:-$(dpkg --print-architecture)}" "$PROFILE" /image/connector-cache
# Files before DNS, so that localhost and the cluster's own names in /etc/hosts need nobody's answer.
RUN install -D -m 0444 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && echo 'connector-cache:x:65532:65532::/:/nonexistent' > /image/etc/passwd \
 && echo 'connector-cache:x:65532:' > /image/etc/group

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="connector-cache" \
      org.opencontainers.image.description="A caching read-through proxy for the API connector configuration of Microsoft Graph user flows" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
# A container has an address of its own: loopback would reach nobody. No backtraces, since they are costly to
# make and the panic hook prints none.
ENV CONNECTOR_CACHE__LISTEN__ADDRESS=0.0.0.0:8080 \
    CONNECTOR_CACHE__ADMIN__ADDRESS=0.0.0.0:9090 \
    RUST_BACKTRACE=0
EXPOSE 8080 9090
USER 65532:65532
# Docker and podman run it; Kubernetes has its own probes on 9090.
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/connector-cache", "healthcheck"]
ENTRYPOINT ["/connector-cache"]
CMD ["serve"]
