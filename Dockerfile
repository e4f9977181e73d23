# The auditor's image: scan, webhook and operator are one program.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
# Everything that is installed below comes out of /wheels, each verified by its hash in the lock.
COPY requirements.lock ./
RUN ["pip", "wheel", "--no-cache-dir", "--no-deps", "--require-hashes", "--wheel-dir", "/wheels", "--requirement", "requirements.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY manifests ./manifests
COPY checks ./checks
COPY admission ./admission
COPY iocaudit ./iocaudit
RUN ["pip", "wheel", "--no-cache-dir", "--no-index", "--find-links", "/wheels", "--no-deps", "--wheel-dir", "/wheels", "."]
# Of the lock's packages only what the program needs; pip itself stays behind.
RUN ["python", "-m", "venv", "--without-pip", "/venv"]
RUN ["pip", "--python", "/venv/bin/python", "install", "--no-cache-dir", "--no-index", "--find-links", "/wheels", "iocaudit"]

FROM python:3.13-slim-bookworm
COPY --from=build /venv /venv
# No name: kubelet checks runAsNonRoot by number. Nothing is written but below /tmp, if at all.
USER 65532:65532
WORKDIR /tmp
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["/venv/bin/iocaudit"]
CMD ["--help"]
