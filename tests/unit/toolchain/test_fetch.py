"""The size of a publisher's small answers, such as a signature or a manifest, is limited."""

from __future__ import annotations

import io

import pytest
import requests
import urllib3

from pytest_vault_issuer.toolchain.fetch import DownloadError, content_of

ADDRESS = "https://publisher.example.test/SHA256SUMS.sig"


def answer(content: bytes, status: int = 200) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.raw = urllib3.HTTPResponse(io.BytesIO(content), preload_content=False)
    return response


def test_content_up_to_the_bound_is_returned() -> None:
    assert content_of(ADDRESS, answer(b"12345"), 5) == b"12345"


def test_larger_content_is_refused() -> None:
    with pytest.raises(DownloadError, match=r"SHA256SUMS\.sig has more than 5 bytes"):
        content_of(ADDRESS, answer(b"123456"), 5)


def test_content_of_an_error_is_refused() -> None:
    with pytest.raises(DownloadError, match=r"SHA256SUMS\.sig"):
        content_of(ADDRESS, answer(b"12345", 404), 5)
