"""The file of senders follows its changes, and stays as it was where it cannot be read."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from iocaudit.receivers import sender_file as module
from iocaudit.receivers.sender_file import SenderFile
from iocaudit.supervision.part import Life
from tests.support.signal_posts import write_senders


def test_a_change_counts_and_a_mistake_does_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_senders(tmp_path)
    file = SenderFile(path)
    assert not file.refresh()
    path.write_text("senders:\n- {name: only, sources: [audit], certificate: x}\n")
    assert file.refresh()
    assert file.senders.names == ("only",)
    path.write_text("senders: [")
    assert not file.refresh()
    assert file.senders.names == ("only",)
    assert "the senders before stay in force" in caplog.text
    path.unlink()
    assert not file.refresh()


def test_it_is_looked_at_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)
    path = write_senders(tmp_path)
    file = SenderFile(path)
    path.write_text("senders:\n- {name: only, sources: [audit], certificate: x}\n")

    async def scenario() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                watching = asyncio.ensure_future(file.watch(Life(lambda: 0.0, 60.0)))
                while file.senders.names != ("only",):
                    await asyncio.sleep(0.01)
                watching.cancel()

    asyncio.run(scenario())
    assert file.senders.names == ("only",)
