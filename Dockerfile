# One image for every process. `docker run … worker-media` runs that line of the Procfile.
FROM node:24-slim AS scripts
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev

FROM python:3.13-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt

COPY . .
COPY --from=scripts /app/node_modules node_modules
ENV DEBUG=0 DATA_DIR=/data STATIC_ROOT=/app/static HOST=0.0.0.0
# Of hls.js the one build that the pages load.
RUN SECRET_KEY=only-to-build DATA_DIR=/tmp/build python manage.py collectstatic --no-input \
    --ignore "hls-demo*" --ignore "hls.light*" --ignore "hls.worker*" --ignore "hls.js*" --ignore "hls.mjs*" --ignore "hls.d.*"

RUN useradd nightshift && install --directory --owner nightshift /data
USER nightshift
EXPOSE 8000
ENTRYPOINT ["sh", "-c", "eval \"exec $(sed -n \"s/^$0: //p\" Procfile)\""]
CMD ["web"]
