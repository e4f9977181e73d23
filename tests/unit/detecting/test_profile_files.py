"""Files of profiles: what is wrong is named by file, line and field."""

from pathlib import Path

import pytest
import yaml

from iocaudit.detecting.profile_files import read_profile_files
from iocaudit.signals.profiles.reader import ProfileError
from tests.support.profiles import profile_object


def test_all_documents_of_all_files_are_read(tmp_path: Path) -> None:
    one, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text(yaml.safe_dump_all([profile_object(), profile_object("payments")]), encoding="utf-8")
    other.write_text(yaml.safe_dump(profile_object(name="b")), encoding="utf-8")
    found = read_profile_files([str(one), str(other)])
    assert [profile.title for profile in found.profiles] == ["payments/web", "shop/b", "shop/web"]


def test_a_list_as_a_cluster_gives_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "now.yaml"
    text = {"apiVersion": "v1", "kind": "List", "items": [profile_object(), profile_object(name="b", mode="deny")]}
    path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    with pytest.raises(ProfileError, match=r"now.yaml:\d\d: ActivityProfile b: spec.mode: 'deny'"):
        read_profile_files([str(path)])
    text["items"] = [profile_object(), profile_object(name="b")]
    path.write_text(yaml.safe_dump(text), encoding="utf-8")
    assert len(read_profile_files([str(path)]).profiles) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod\napiVersion: v1\nmetadata: {name: x}\n", "f.yaml:1: Pod of v1 is not an ActivityProfile"),
        ("a: 1\n", "a document without apiVersion and kind is not an ActivityProfile"),
        ("", "f.yaml: holds no ActivityProfile"),
        ("a: [\n", "f.yaml:"),
        (
            "apiVersion: iocaudit.io/v1alpha1\nkind: ActivityProfile\nmetadata: {name: x, namespace: shop}\nspec:\n"
            "  processes:\n  - image: nginx\n    executables:\n    - /usr/bin/x\n    - '/*'\n",
            "f.yaml:9: ActivityProfile x: spec.processes[0].executables[1]: '/*' must begin with a directory",
        ),
    ],
)
def test_mistakes_are_named_by_file_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as error:
        read_profile_files([str(path)])
    assert said in str(error.value)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(yaml.safe_dump_all([profile_object(), profile_object()]), encoding="utf-8")
    with pytest.raises(ProfileError, match="shop/web is given twice"):
        read_profile_files([str(path)])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="nowhere"):
        read_profile_files([str(tmp_path / "nowhere")])
