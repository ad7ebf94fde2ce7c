FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY requirements requirements
RUN pip install --no-cache-dir --require-hashes --requirement requirements/base.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY lua lua
COPY sql sql
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11.14-slim-bookworm
COPY requirements requirements
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --require-hashes --requirement requirements/base.txt \
    && pip install --no-cache-dir --no-deps /wheels/*.whl && rm -r /wheels requirements
RUN useradd --system --uid 10001 --no-create-home sellable
USER sellable
ENV PYTHONUNBUFFERED=1
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["sellable"]
CMD ["serve", "--host", "0.0.0.0"]
