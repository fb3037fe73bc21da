"""The two S3 clients with the same configuration (docs/decisions/0002-bulk-transfer-client.md): obstore transfers
content, and lists; s3fs does the rest (heads, deletes, finds unfinished uploads).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import NoCredentialsError
from botocore.session import get_session
from obstore.store import S3Store as ObjectStore

from winslow_dagster.storage.s3_errors import S3Place

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session
    from obstore.store import S3Credential

CREDENTIALS_FOR = timedelta(minutes=15)
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 3600.0
DEFAULT_REGION = "us-east-1"


class S3Clients:
    """Both clients for one bucket, created at first use. `patience_s`: how long to wait for a silent server."""

    def __init__(self, place: S3Place, patience_s: float) -> None:
        self._place = place
        self._patience_s = patience_s

    @cached_property
    def _session(self) -> Session:
        return get_session()

    @cached_property
    def _credentials(self) -> Credentials:
        """What botocore finds, as for s3fs: AWS_* variables, a profile, the machine's role."""
        found = self._session.get_credentials()
        if found is None:
            raise self._place.explain("", NoCredentialsError())
        return found

    def _credential(self) -> S3Credential:
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + CREDENTIALS_FOR,  # then obstore asks again; botocore renews them
        }

    @cached_property
    def _region(self) -> str:
        return str(self._session.get_config_variable("region") or DEFAULT_REGION)

    @cached_property
    def bulk(self) -> ObjectStore:
        """obstore, for content."""
        _ = self._credentials
        endpoint = self._place.endpoint
        return ObjectStore(
            self._place.bucket,
            config={"endpoint": endpoint} if endpoint else None,
            region=self._region,
            credential_provider=self._credential,
            # With an endpoint, the bucket is part of the path: few servers have a host name per bucket.
            virtual_hosted_style_request=endpoint is None,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=min(CONNECT_TIMEOUT_S, self._patience_s)),
                "read_timeout": timedelta(seconds=min(READ_TIMEOUT_S, self._patience_s)),
                # Of a whole request with its body: generous, because the time without data is limited above.
                "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
            },
            retry_config={"max_retries": self._attempts, "retry_timeout": timedelta(seconds=self._patience_s)},
        )

    @cached_property
    def metadata(self) -> Any:
        """s3fs, for everything else: its `call_s3` sends any request of the S3 API."""
        from s3fs import S3FileSystem

        _ = self._credentials
        files = S3FileSystem(
            endpoint_url=self._place.endpoint,
            client_kwargs={"region_name": self._region},
            config_kwargs={
                "connect_timeout": min(CONNECT_TIMEOUT_S, self._patience_s),
                "read_timeout": min(READ_TIMEOUT_S, self._patience_s),
                "retries": {"mode": "standard", "total_max_attempts": self._attempts},
                "s3": {"addressing_style": "path" if self._place.endpoint else "auto"},
                # Not all servers know the newer checksum headers.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
            skip_instance_cache=True,
        )
        files.retries = 1  # botocore retries; multiplied by retries of s3fs, the limit would not hold
        return files

    @property
    def _attempts(self) -> int:
        """The number of attempts that fit into the time: pauses between them double from about a second."""
        return 1 + int(math.log2(max(1.0, self._patience_s)))
