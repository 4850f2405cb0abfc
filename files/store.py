"""The object store in which media lie if one is configured: Django's storage on S3, and what that cannot say of it.

Imported only then, since boto3 takes longer to import than the rest of the site.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.utils.functional import cached_property
from storages.backends.s3 import S3Storage

from files.stored import Stored

# Of a file that is sent or fetched, four parts of 8 MiB at most are in memory at once.
TRANSFER = TransferConfig(multipart_chunksize=8 * 1024 * 1024, max_concurrency=4, max_io_queue=16)


class Store(S3Storage):
    def __init__(self, *, addressing_style: str, **options: Any) -> None:
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": addressing_style},
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            # Checksums that only Amazon's own store knows would be refused by others.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(client_config=config, transfer_config=TRANSFER, **options)

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

    def address(self, name: str, seconds: int, method: str, **answer: str) -> str:
        """Where anybody may GET or HEAD the file for so long. `answer` sets headers of the answer, as S3 names them."""
        operation = {"GET": "get_object", "HEAD": "head_object"}[method]
        return self.client.generate_presigned_url(operation, {**self.at(name), **answer}, ExpiresIn=seconds)
