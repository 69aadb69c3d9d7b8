# The operator's image, for people with a container engine:
#
#   docker build --tag REGISTRY/dockercoins-operator:TAG .
#
# `make image REGISTRY=… TAG=…` makes the like without an engine, with a bill of materials.
# For amd64. It names no architecture, so arm64 should build too; that is not tested.

# What it is built on: a Rust on Debian, or the like with glibc's static library.
ARG BUILD_IMAGE=rust:1.95.0-slim-bookworm
# What it stands on. The program needs nothing of it.
ARG BASE_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates && \
    cargo install --locked --version 0.7.7 cargo-auditable
WORKDIR /src
COPY . .
# The target is given although it is the image's own, so that the flag for static linking does
# not reach build scripts and macros. What the program is made of is embedded in it.
RUN target=$(rustc -vV | sed -n 's/^host: //p') && \
    RUSTFLAGS='-C target-feature=+crt-static' \
    cargo auditable build --locked --release --target "$target" \
    --package dockercoins-operator --bin dockercoins-operator && \
    mkdir -p /out/etc/ssl/certs && \
    cp "target/$target/release/dockercoins-operator" /out/ && \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM ${BASE_IMAGE}
COPY --from=build /out/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/dockercoins-operator"]
LABEL org.opencontainers.image.title="DockerCoins operator" \
      org.opencontainers.image.licenses="Apache-2.0"
