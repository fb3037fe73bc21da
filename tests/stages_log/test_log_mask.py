from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.stages.log import Entry, LogReader, LogWriter, SecretMask

TOKEN = "s3cret-tökén"
LONGER = f"{TOKEN}-and-more"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBg\r\nshort\n"
MASK = SecretMask([TOKEN, LONGER, KEY])
PIECES = st.lists(st.sampled_from([TOKEN, LONGER, "MIIEvQIBADANBg", "text ", "\r", "\n", "s3cret-"]), max_size=30)


def stored(chunks: list[bytes]) -> str:
    with tempfile.TemporaryDirectory() as directory:
        with LogWriter(Path(directory), LogRules(errors=("s3cret", "E "), warnings=("W ",)), mask=MASK) as writer:
            for chunk in chunks:
                writer.write("stdout", chunk, 1)
        lines = [line.text for line in LogReader(Path(directory)).lines()]
        files = b"".join(path.read_bytes() for path in Path(directory).iterdir())
        assert TOKEN.encode() not in files
        return "\n".join([*lines, writer.summary(2).model_dump_json()])


@given(PIECES, st.integers(1, 40))
def test_no_secret_is_stored_however_its_output_is_cut(pieces: list[str], size: int) -> None:
    printed = "".join(pieces).encode()
    text = stored([printed[start : start + size] for start in range(0, len(printed), size)])
    for secret in (TOKEN, "MIIEvQIBADANBg"):
        assert secret not in text


def test_a_masked_line_keeps_its_place_and_the_rest_of_its_text() -> None:
    text = stored([f"one\nE {TOKEN} at {LONGER}!\nthree\nWINSLOW_RESULT: token={TOKEN}".encode()])
    assert text.splitlines()[:4] == ["one", "E *** at ***!", "three", "WINSLOW_RESULT: token=***"]
    assert '"errors":[{"line":2,"text":"E *** at ***!"}]' in text
    assert '"results":{"token":"***"}' in text


def test_each_line_of_a_value_of_several_lines_is_masked_unless_it_is_short() -> None:
    assert stored([KEY.encode()]).splitlines()[:3] == ["***", "***", "short"]


def test_a_secret_is_masked_in_json_and_in_plain_data_too() -> None:
    mask = SecretMask(['pass"wörd\\1'])
    data = {"a": ['is pass"wörd\\1', ("x", 1, None)], 'pass"wörd\\1': True}
    assert mask.masked_values(data) == {"a": ["is ***", ("x", 1, None)], 'pass"wörd\\1': True}
    for ascii_only in (True, False):
        assert mask.masked(json.dumps({"b": 'pass"wörd\\1'}, ensure_ascii=ascii_only).encode()) == b'{"b": "***"}'


def test_the_log_of_a_container_is_masked_where_many_lines_come_at_once(log: Path) -> None:
    entries = [Entry("stdout", at_ns, f"line {at_ns} {TOKEN}\n".encode()) for at_ns in range(1, 50)]
    with LogWriter(log, LogRules(), mask=MASK) as writer:
        writer.write_entries([*entries, Entry("stderr", 50, b"the last\n")])
    texts = [line.text for line in LogReader(log).lines()]
    assert texts == [*(f"line {at_ns} ***" for at_ns in range(1, 50)), "the last"]
