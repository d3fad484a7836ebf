# An image that holds one static binary and nothing else, to be copied from:
#
#     COPY --from=exeunt /exeunt /exeunt
#
#     docker build -t exeunt .                        compiles it, for the platform that is asked for
#     docker build -t exeunt --target prebuilt .      takes the binary of
#                                 cargo build --release --locked --target x86_64-unknown-linux-musl
#
# BUILD_IMAGE needs rustup or the toolchain of rust-toolchain.toml; no C compiler, no package.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-slim-bookworm

# What the two ways to an image have in common, so that they cannot differ.
FROM scratch AS description
LABEL org.opencontainers.image.title="exeunt" \
      org.opencontainers.image.description="Lets a Kubernetes Job and its sidecars leave together" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# A number, because an empty image has no /etc/passwd, and because runAsNonRoot cannot judge a name.
USER 65532:65532
ENTRYPOINT ["/exeunt"]

# Before the compiling stage, because the classic builder runs every stage up to the one it was asked for.
FROM description AS prebuilt
ARG BINARY=target/x86_64-unknown-linux-musl/release/exeunt
COPY ${BINARY} /exeunt

FROM ${BUILD_IMAGE} AS build
# Set by BuildKit, Podman and Buildah; the classic builder leaves it empty and builds for its own platform.
ARG TARGETARCH
WORKDIR /build
# By name: a build directory of the host has no business in here.
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY .cargo .cargo
COPY src src
RUN case "${TARGETARCH:-$(uname -m)}" in \
        amd64 | x86_64) target=x86_64-unknown-linux-musl ;; \
        arm64 | aarch64) target=aarch64-unknown-linux-musl ;; \
        *) echo "no target for ${TARGETARCH:-$(uname -m)}" >&2; exit 1 ;; \
    esac \
    && cargo build --release --locked --target "$target" \
    && cp "target/$target/release/exeunt" /exeunt

FROM description AS exeunt
COPY --from=build /exeunt /exeunt
