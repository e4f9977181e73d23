"""Log lines are JSON, and no key or token leaves through them."""

import base64
import io
import json
import logging
import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.serving.authority import issue_ca
from iocaudit.serving.logs import JsonLines, configure_logging, redact

KEY = issue_ca(datetime(2030, 1, 1, tzinfo=UTC), timedelta(days=1)).key_pem.decode()
KEY_BODY = KEY.split("\n")[1]
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"  # no secret: {"sub": "system"}
OPAQUE = "q7Zx-31_aaBBccDD.99~zz"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    configure_logging(logging.INFO, written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def line(message: str, **extra: object) -> str:
    record = logging.getLogger("iocaudit.x").makeRecord(
        "iocaudit.x", logging.WARNING, "f", 1, message, (), None, extra=extra
    )
    return JsonLines().format(record)


def test_the_fields_of_a_line(stream: io.StringIO) -> None:
    logging.getLogger("iocaudit.x").warning("held %d of %s", 2, "three", extra={"listener": "main"})
    written = json.loads(stream.getvalue())
    assert datetime.fromisoformat(written.pop("ts")).tzinfo is not None
    assert written == {"level": "WARNING", "logger": "iocaudit.x", "msg": "held 2 of three", "listener": "main"}


def test_a_traceback_stays_in_its_line_and_is_cleaned(stream: io.StringIO) -> None:
    try:
        raise ValueError(f"cannot use {KEY}")
    except ValueError:
        logging.getLogger("iocaudit.x").exception("failed")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError" in json.loads(stream.getvalue())["error"]
    assert KEY_BODY not in stream.getvalue()


def test_what_json_cannot_hold_does_not_break_a_line(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """As kopf gives its settings along, with a queue in them: the line would be lost in a traceback of logging's."""
    logging.getLogger("iocaudit.x").warning("said", extra={"queue": queue.SimpleQueue(), "at": Path("/a"), "x": {1, 2}})
    found = json.loads(stream.getvalue())
    assert (found["msg"], found["queue"], found["at"], found["x"]) == ("said", "<SimpleQueue>", "/a", "<set>")
    assert "Logging error" not in capsys.readouterr().err


def test_kopf_does_not_write_a_line_an_event(stream: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler succeeded.")
    assert stream.getvalue() == ""
    logging.getLogger("kopf.objects").warning("something is wrong")
    assert "something is wrong" in stream.getvalue()


def test_uvicorn_tells_its_errors_through_the_same_handler_but_not_what_anybody_may_send(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.access").info("GET /")
    assert [json.loads(text)["msg"] for text in stream.getvalue().splitlines()] == ["Exception in ASGI application"]


SECRETS = {
    "pem": (KEY, KEY_BODY),
    "cut pem": (KEY[:100], KEY_BODY[:30]),
    "repr of pem": (repr(KEY.encode()), KEY_BODY),
    "pem in base64": (base64.b64encode(KEY.encode()).decode(), base64.b64encode(KEY.encode()).decode()[20:60]),
    "bearer": (f"Authorization: Bearer {OPAQUE}", OPAQUE),
    "bearer in a dict": (str({"authorization": f"bearer {OPAQUE}"}), OPAQUE),
    "basic": ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    "web token": (TOKEN, TOKEN),
    "field": (f"token={OPAQUE}", OPAQUE),
    "json field": (json.dumps({"access_token": OPAQUE}), OPAQUE),
    "repr field": (repr({"password": OPAQUE}), OPAQUE),
}


@pytest.mark.parametrize("name", SECRETS)
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_secret_leaves_and_the_line_stays_json(name: str, before: str, after: str) -> None:
    text, secret = SECRETS[name]
    # A letter or digit before a secret could make another word of it.
    for written in (
        line(f"{before} {text} {after}"),
        line("m", detail=f"{before} {text} {after}"),
        line("m", nested={"deep": [f"{before} {text}"]}),
    ):
        assert secret not in written
        assert json.loads(written)["level"] == "WARNING"


@pytest.mark.parametrize("key", ["token", "password", "private_key"])
@given(value=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=12, max_size=30))
def test_the_value_of_a_secret_extra_field_is_gone(key: str, value: str) -> None:
    written = json.loads(line("m", **{key: value}))
    assert written[key] == "***"
    assert value not in line("m", deep={"list": [{key: value}]})


@given(st.text(max_size=200))
def test_redaction_keeps_any_line_json(text: str) -> None:
    assert isinstance(json.loads(redact(json.dumps({"msg": text})))["msg"], str)


@pytest.mark.parametrize("text", ["the tokenizer read 3 tokens", "bearer of news", "serviceaccounts/token of pod web"])
def test_plain_words_stay(text: str) -> None:
    assert json.loads(line(text))["msg"].split()[0] == text.split()[0]
    assert "tokens" in redact("the tokenizer read 3 tokens")
