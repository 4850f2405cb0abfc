"""A real S3 server for the tests, of which a wheel brings the program. It checks signatures."""

import json
import os
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from django.conf import settings

from config.processes import Process
from tests.waiting import wait_until

WEED = str(Path(sys.executable).with_name("weed"))  # beside us, whether or not that is on PATH
KEY, SECRET = "nightshift", "for-the-tests"
IDENTITY = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
RULE = {"AllowedMethods": ["GET", "HEAD", "PUT"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}


class ObjectStore:
    """A server with one empty bucket. `env` is what a site needs to keep its media there.

    `server` is its process.
    """

    bucket = "media"

    def __init__(self, url: str, server: Process) -> None:
        self.server = server
        self.env = {
            "AWS_STORAGE_BUCKET_NAME": self.bucket,
            "AWS_S3_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        place = {"bucket_name": self.bucket, "endpoint_url": url, "region_name": "us-east-1"}
        keys = {"access_key": KEY, "secret_key": SECRET, "addressing_style": "path"}
        storage = {"BACKEND": "files.store.Store", "OPTIONS": {**place, **keys}}
        # For what is called in the process of the tests.
        self.settings = {"STORE_BUCKET": self.bucket, "STORAGES": {**settings.STORAGES, "default": storage}}
        self.client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def start(self) -> None:
        self.server.start()
        wait_until(self.prepare, timeout=60)

    def stop(self) -> None:
        self.server.ask_to_end()
        self.server.wait(time.monotonic())

    def prepare(self) -> bool:
        """Make the bucket, unless there is one. False: the server is not ready yet."""
        try:
            if self.bucket not in [one["Name"] for one in self.client.list_buckets()["Buckets"]]:
                self.client.create_bucket(Bucket=self.bucket)
            self.client.put_bucket_cors(Bucket=self.bucket, CORSConfiguration={"CORSRules": [RULE]})
            self.client.put_object(Bucket=self.bucket, Key="ready", Body=b"yes")  # it answers before it can keep a file
            self.client.delete_object(Bucket=self.bucket, Key="ready")
        except Exception:
            return False
        return True

    def files(self) -> dict[str, int]:
        """All that is in the bucket, with sizes in bytes."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", ())}

    def begun(self) -> list[dict[str, Any]]:
        """Multipart uploads that are neither complete nor aborted."""
        return self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    with tempfile.TemporaryDirectory(prefix="nightshift-s3-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / "s3.json").write_text(json.dumps({"identities": [IDENTITY]}))
        master, volume, filer, s3 = ports = free_ports(4)
        command = [WEED, "-logtostderr", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false"]
        command += ["-s3", f"-s3.port={s3}", f"-s3.config={folder}/s3.json"]
        command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
        for name, port in zip(("master", "volume", "filer", "s3"), ports, strict=True):
            command.append(f"-{name}.port.grpc={port + 10_000 if port < 50_000 else port - 10_000}")
        with Path(folder, "log").open("w") as output:
            store = ObjectStore(f"http://127.0.0.1:{s3}", Process(shlex.join(command), dict(os.environ), "", output))
            try:
                store.start()
                yield store
            finally:
                store.stop()


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
