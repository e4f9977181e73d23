# The auditor's image: scan, webhook and operator are one program.
# A tag can be moved. For a release pin the base by the digest that your registry shows for it:
# --build-arg BASE=python:3.13-slim-bookworm@sha256:...
ARG BASE=python:3.13-slim-bookworm
# Likewise: --build-arg GO_BASE=golang:1.26-bookworm@sha256:...
ARG GO_BASE=golang:1.26-bookworm
FROM ${BASE} AS build
# This stage is thrown away: a cache in it helps nobody.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Without pip: what is installed is all that there is.
RUN ["python", "-m", "venv", "--without-pip", "/venv"]
WORKDIR /src
# Everything that is installed below comes out of /wheels, each verified by its hash in the lock.
COPY requirements.lock ./
RUN ["pip", "wheel", "--no-deps", "--require-hashes", "--wheel-dir", "/wheels", "--requirement", "requirements.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY manifests ./manifests
COPY checks ./checks
COPY admission ./admission
COPY iocaudit ./iocaudit
# Of the lock's packages only what the program needs.
RUN ["pip", "--python", "/venv/bin/python", "install", "--no-index", "--find-links", "/wheels", "/src[cluster,rego]"]

# The programs that evaluate rules in Rego and CEL. What they need is verified by the hashes in their go.sum.
FROM ${GO_BASE} AS programs
ENV CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
WORKDIR /src
COPY iocaudit/engine/languages/go ./
WORKDIR /src/opa
RUN ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o=/programs/iocaudit-opa", "."]
WORKDIR /src/cel
RUN ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o=/programs/iocaudit-cel", "."]

FROM ${BASE}
COPY --from=build /venv /venv
COPY --from=programs /programs /usr/local/bin
# No name: kubelet checks runAsNonRoot by number. Nothing is written but below /tmp, if at all.
USER 65532:65532
WORKDIR /tmp
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["/venv/bin/iocaudit"]
CMD ["--help"]
