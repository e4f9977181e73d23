"""What ``scan`` reads of a folder is what ``kubectl apply -R -f`` sends to a real API server."""

import json
from pathlib import Path

from devcluster.controlplane import ControlPlane
from tests.support.running import run


def write(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n"
        "spec: {hostPID: true, containers: [{name: a, image: b}]}\n"
    )


def test_a_folder_is_read_as_kubectl_reads_it(control_plane: ControlPlane, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write(folder / "plain.yaml", "plain")
    write(folder / ".hidden.yaml", "hidden")
    write(folder / ".yml", "suffix")
    write(folder / ".folder" / "p.json", "in-hidden")
    write(folder / "sub.yaml" / "p.yml", "in-sub")
    write(folder / "upper.YAML", "upper")
    write(folder / "text.txt", "text")
    write(tmp_path / "other" / "p.yaml", "in-linked")
    write(tmp_path / "file.txt", "linked")
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "linked.yaml").symlink_to(tmp_path / "file.txt")
    applied = control_plane.kubectl("apply", "-R", "-f", str(folder), "--dry-run=server", "-o", "name").stdout
    _, said, _ = run("scan", "-o", "json", "--check", "host-pid", str(folder))
    found = {finding["subject"]["name"] for finding in json.loads(said)["findings"]}
    assert found == {line.removeprefix("pod/") for line in applied.split()}
    assert found == {"plain", "hidden", "suffix", "in-hidden", "in-sub", "linked"}
