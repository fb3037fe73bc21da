"""Tests are skipped without their service, and fail if the service is required."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of one test without a service and two that need S3, on a machine without S3."""
    monkeypatch.setenv("WINSLOW_TEST_S3_ENDPOINT", NOWHERE)
    monkeypatch.delenv("WINSLOW_TEST_REQUIRE", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(CONFTEST.parent))  # The file imports modules beside it.
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini(
        "[pytest]\nmarkers =\n    chromium: .\n    docker: .\n    java: .\n    postgres: .\n    s3: .\n    slow: .\n"
    )
    pytester.makepyfile("""
        import pytest

        def test_without_a_service():
            pass

        @pytest.mark.s3
        @pytest.mark.parametrize("number", [1, 2])
        def test_with_s3(number):
            pass
    """)
    return pytester


def test_what_needs_a_missing_service_is_left_out_and_said_in_one_line(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines_random(["skipped: 2 needing s3"])


def test_the_line_is_the_same_when_tests_run_side_by_side(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines_random(["skipped: 2 needing s3"])


def test_a_file_with_a_long_test_goes_first(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_z="import pytest\n\ndef test_short(): pass\n\n@pytest.mark.slow\ndef test_long(): pass\n")
    result = suite.runpytest_subprocess("-p", "no:cacheprovider", "-v")
    result.stdout.fnmatch_lines(["test_z.py::test_short *", "test_z.py::test_long *", "*test_without_a_service *"])
    result = suite.runpytest_subprocess("-p", "no:cacheprovider", "-m", "not slow")
    result.assert_outcomes(passed=2, skipped=2, deselected=1)


def test_what_needs_a_demanded_service_fails_when_it_is_missing(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINSLOW_TEST_REQUIRE", "s3")
    result = suite.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines_random(
        ["*WINSLOW_TEST_REQUIRE contains s3, but the server at WINSLOW_TEST_S3_ENDPOINT is not available"]
    )


def test_demanding_an_unknown_service_is_an_error(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINSLOW_TEST_REQUIRE", "docker,s4")
    result = suite.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*WINSLOW_TEST_REQUIRE contains s4; expected some of: chromium, docker, java, nginx, postgres, s3, slurm"]
    )


def test_nothing_is_said_where_nothing_is_left_out(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-p", "no:cacheprovider", "-k", "without")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.no_fnmatch_line("skipped:*")


@pytest.mark.docker
def test_the_test_image_runs_the_programs_tests_rely_on(test_image: str) -> None:
    script = 'true && [ "$(seq 3 | head -n 1)" = 1 ] && echo here > /tmp/file && cat /tmp/file'
    ran = subprocess.run(
        ["docker", "run", "--rm", "--network=none", test_image, "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "here\n"


def test_a_database_of_each_kind_is_fresh_and_takes_tables(database_url: str) -> None:
    from sqlalchemy import create_engine, inspect, text

    engine = create_engine(database_url)
    assert inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE project (name TEXT PRIMARY KEY)"))
    engine.dispose()


@pytest.mark.s3
def test_a_bucket_is_fresh_and_takes_objects(s3_bucket_url: str, s3_endpoint: str) -> None:
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(s3_bucket_url.removeprefix("s3://"))
    assert list(bucket.objects.all()) == []
    bucket.put_object(Key="a/b", Body=b"here")
    assert [summary.key for summary in bucket.objects.all()] == ["a/b"]
