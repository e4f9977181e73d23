import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.languages.programs import reported_version
from iocaudit.engine.languages.sources import Engine, digest_of, shipped, sources_digest
from tests.support.engines import engine_program


@pytest.mark.parametrize("engine", shipped())
def test_a_program_reports_the_digest_of_its_sources(engine: Engine) -> None:
    reported = reported_version(engine_program(engine))
    assert reported is not None
    assert (reported.name, reported.digest) == (engine.program, sources_digest(engine))


@pytest.mark.parametrize("engine", shipped())
def test_what_the_programs_share_is_part_of_each(engine: Engine) -> None:
    shared = engine.sources.parent / "child"
    assert sources_digest(engine) == digest_of(shared, engine.sources) != digest_of(engine.sources)
    assert "replace iocaudit.io/child => ../child\n" in (engine.sources / "go.mod").read_text(encoding="utf-8")
    assert engine.sources.name == engine.value


def test_opa_is_there_in_the_version_that_its_module_requires() -> None:
    assert Engine.OPA in shipped()
    reported = reported_version(engine_program(Engine.OPA))
    assert reported is not None
    go_mod = (Engine.OPA.sources / "go.mod").read_text(encoding="utf-8")
    assert f"github.com/open-policy-agent/opa v{reported.version}\n" in go_mod
    major, minor, _ = map(int, reported.version.split("."))
    assert (major, minor) >= (1, 22)


names = st.sampled_from(
    ["own/a.go", "own/a/b.go", "own/go.mod", "own/go.sum", "child/a.go", "child/go.mod", "own/ab.go"]
)


@given(st.dictionaries(names, st.binary(max_size=4)), st.dictionaries(names, st.binary(max_size=4)))
def test_other_sources_have_another_digest(
    tmp_path_factory: pytest.TempPathFactory, left: dict[str, bytes], right: dict[str, bytes]
) -> None:
    digests = []
    for files in (left, right):
        folder = tmp_path_factory.mktemp("sources")
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "README.md").write_text(str(folder), encoding="utf-8")
        digests.append(digest_of(folder / "child", folder / "own"))
    assert (digests[0] == digests[1]) == (left == right)
