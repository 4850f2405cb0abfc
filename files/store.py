"""The object store in which media lie if one is configured: Django's storage on S3, and what that cannot say of it.

Imported only then, since boto3 takes longer to import than the rest of the site.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from boto3.s3.transfer import TransferConfig
from botocore import exceptions
from botocore.config import Config
from django.utils.functional import cached_property
from storages.backends.s3 import S3Storage

from files.stored import StoreAway, Stored

IN_MEMORY = 8 * 1024 * 1024  # bytes of a file that is opened; a larger one is on the disk meanwhile
# Of a file that is sent or fetched, four parts of 8 MiB at most are in memory at once.
TRANSFER = TransferConfig(multipart_chunksize=8 * 1024 * 1024, max_concurrency=4, max_io_queue=16)


class Part(NamedTuple):
    """Of a file that is sent in parts."""

    number: int  # from 1
    size: int  # bytes
    tag: str  # given by the store


class Telling:
    """Of boto3's client: whichever call finds that the store is away says so in one way.

    Raises StoreAway.
    """

    def _make_api_call(self, operation: str, params: dict[str, Any]) -> Any:
        try:
            return super()._make_api_call(operation, params)  # type: ignore[misc]
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            raise StoreAway(StoreAway.__doc__) from error
        except exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            raise StoreAway(StoreAway.__doc__) from error


class Store(S3Storage):
    def __init__(self, *, addressing_style: str, **options: Any) -> None:
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": addressing_style},
            # Somebody may wait: after 20 s it is away. Jobs come back by themselves.
            connect_timeout=5,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 2},
            # Checksums that only Amazon's own store knows would be refused by others.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(client_config=config, transfer_config=TRANSFER, max_memory_size=IN_MEMORY, **options)

    def _create_session(self) -> Any:
        session = super()._create_session()
        session.events.register("creating-client-class.s3", lambda base_classes, **_: base_classes.insert(0, Telling))
        return session

    @cached_property
    def client(self) -> Any:
        """Unlike the rest of boto3 it may be used by many threads."""
        return self.connection.meta.client

    def at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": name}

    def listed(self, folder: str) -> Iterator[Stored]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket_name, Prefix=f"{folder}/")
        for page in pages:
            for one in page.get("Contents", ()):
                yield Stored(one["Key"], one["Size"], one["LastModified"])

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine. It is there as a whole or not at all."""
        self.client.download_file(self.bucket_name, name, str(path), Config=TRANSFER)

    def size_if_any(self, name: str) -> int | None:
        try:
            return self.client.head_object(**self.at(name))["ContentLength"]
        except exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def address(self, name: str, seconds: int, method: str, **answer: str) -> str:
        """Where anybody may GET or HEAD the file for so long. `answer` sets headers of the answer, as S3 names them."""
        operation = {"GET": "get_object", "HEAD": "head_object"}[method]
        return self.client.generate_presigned_url(operation, {**self.at(name), **answer}, ExpiresIn=seconds)

    # --- files that others send in parts. `multipart` is the store's name for such an upload ---

    def begin(self, name: str) -> str:
        return self.client.create_multipart_upload(**self.at(name))["UploadId"]

    def address_of_part(self, name: str, multipart: str, number: int, size: int, seconds: int) -> str:
        """Where anybody may PUT the part for so long. Its size is signed, too, so the store refuses any other."""
        part = {"UploadId": multipart, "PartNumber": number, "ContentLength": size}
        return self.client.generate_presigned_url("upload_part", {**self.at(name), **part}, ExpiresIn=seconds)

    def parts(self, name: str, multipart: str) -> Iterator[Part]:
        """Those that have arrived. None, if nothing is known of that upload any more."""
        pages = self.client.get_paginator("list_parts").paginate(**self.at(name), UploadId=multipart)
        with suppress(self.client.exceptions.NoSuchUpload):
            for page in pages:
                for one in page.get("Parts", ()):
                    yield Part(one["PartNumber"], one["Size"], one["ETag"])

    def complete(self, name: str, multipart: str, tags: dict[int, str]) -> None:
        """Put the parts together. Nothing happens if nothing is known of that upload any more."""
        parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
        with suppress(self.client.exceptions.NoSuchUpload):
            self.client.complete_multipart_upload(**self.at(name), UploadId=multipart, MultipartUpload={"Parts": parts})

    def abort(self, name: str, multipart: str) -> None:
        with suppress(self.client.exceptions.NoSuchUpload):
            self.client.abort_multipart_upload(**self.at(name), UploadId=multipart)

    def begun(self, before: datetime) -> Iterator[tuple[str, str]]:
        """Name and upload of what was begun before then, and is neither complete nor aborted."""
        for page in self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket_name):
            for one in page.get("Uploads", ()):
                if one["Initiated"] < before:
                    yield one["Key"], one["UploadId"]
