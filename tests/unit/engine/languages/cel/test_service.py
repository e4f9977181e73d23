import asyncio

import pytest

from iocaudit.core.shape import Json
from iocaudit.engine.languages.cel.service import CelService
from iocaudit.engine.languages.evaluator import EngineError
from tests.support.cel_rules import cel_program


def test_a_life_from_beginning_to_end() -> None:
    service = CelService(cel_program(), 1 << 28, 60)
    try:
        assert service.child.greeting == {"apiserver": "0.36.3"}
        assert service.trouble(60) is None
        service.load([{"id": "a", "validations": [{"expression": "true"}]}], 10)
        with pytest.raises(EngineError, match="cannot be read"):
            service.load([{"id": 3}], 10)

        async def both() -> list[Json]:
            return list(await asyncio.gather(service.ask_soon({"ping": True}, 10), service.ask_soon({}, 10)))

        said = asyncio.run(both())
        assert [one.get("failure") for one in said] == [None, "the message asks for nothing"]
    finally:
        service.close()
    assert "cannot be asked" in (service.trouble(10) or "")
