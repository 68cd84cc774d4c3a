"""What torch opens in C++ lies on the node's disk, and nothing of it among the real files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The working directory of nodes is ``/``, so what escaped by a relative path would come to be here."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


def on_a_node(body: Callable[[], Any], **world: Any) -> tuple[Any, list[str]]:
    """What it gives, and the files on the disk after it."""
    found: list[Any] = []

    async def main() -> list[str]:
        async with detrun.World(**world) as cluster:
            node = cluster.node("a")
            node.start(lambda: found.append(body()) or trio.sleep(0))
            await node.ended()
            return sorted(name for name, content in node.disk.tree().items() if content)

    files = detrun.record(main).result
    return found[0], files


class Doubled(torch.nn.Module):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers * 2.0


def add_one(numbers: torch.Tensor) -> torch.Tensor:
    return numbers + 1.0


SAVED = {"w": torch.arange(3.0), "at": 4}


def by_new_format() -> Any:
    torch.save(SAVED, "a.pt")
    return torch.load("a.pt")["w"]


def by_old_format() -> Any:
    torch.save(SAVED, "a.pt", _use_new_zipfile_serialization=False)
    return torch.load("a.pt")["w"]


def mapped() -> Any:
    torch.save(SAVED, "a.pt")
    return torch.load("a.pt", mmap=True)["w"]


def by_from_file() -> Any:
    Path("a.pt").write_bytes(torch.arange(3.0).numpy().tobytes())
    return torch.from_file("a.pt", size=3)


def by_script() -> Any:
    torch.jit.save(torch.jit.script(Doubled()), "a.pt")
    return torch.jit.load("a.pt")(torch.arange(3.0)) / 2.0


def by_script_method() -> Any:
    torch.jit.script(Doubled()).save("a.pt")
    return torch.jit.load("a.pt")(torch.arange(3.0)) / 2.0


def by_scripted_function() -> Any:
    torch.jit.script(add_one).save("a.pt")
    return torch.jit.load("a.pt")(torch.arange(3.0)) - 1.0


def by_export() -> Any:
    torch.export.save(torch.export.export(Doubled(), (torch.ones(3),)), "a.pt2")
    return torch.export.load("a.pt2").module()(torch.arange(3.0)) / 2.0


def by_package() -> Any:
    from torch.package import PackageExporter, PackageImporter

    with PackageExporter("a.pt") as package:
        package.save_pickle("weights", "w.pkl", SAVED)
    return PackageImporter("a.pt").load_pickle("weights", "w.pkl")["w"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "body",
    [
        *(by_new_format, by_old_format, mapped, by_from_file, by_script, by_script_method, by_scripted_function),
        *(by_export, by_package),
    ],
)
def test_what_is_saved_lies_on_the_disk_and_is_loaded_from_there(body: Callable[[], Any]) -> None:
    numbers, files = on_a_node(lambda: body().tolist())
    assert numbers == [0.0, 1.0, 2.0]
    assert files in (["/a.pt"], ["/a.pt2"])


@pytest.mark.filterwarnings("ignore")
def test_real_files_are_loaded_where_a_node_can_read_them_and_only_there(tmp_path_factory: Any) -> None:
    path = str(tmp_path_factory.mktemp("models") / "model.pt")
    torch.jit.script(Doubled()).save(path)

    def loaded() -> Any:
        return torch.jit.load(path)(torch.ones(1)).item()

    assert on_a_node(loaded, host_files=[path])[0] == 2.0
    for load in ("torch.jit.load", "torch.load", "torch.from_file", "torch._C.PyTorchFileReader"):
        with pytest.raises((FileNotFoundError, ValueError), match=r"model\.pt"):
            on_a_node(lambda load=load: eval(load)(path))
    with pytest.raises(detrun.HiddenStateError, match="only read"):
        on_a_node(lambda: torch.jit.script(Doubled()).save(path), host_files=[path])
    assert loaded() == 2.0  # the driver's files are real


@pytest.mark.parametrize("function", ["torch.from_file", "torch.UntypedStorage.from_file"])
def test_a_file_that_tensors_would_change_is_refused(function: str) -> None:
    with pytest.raises(detrun.HiddenStateError, match="shared=True"):
        on_a_node(lambda: eval(function)("a.bin", True, 16))


def test_a_profile_is_refused() -> None:
    def body() -> None:
        with torch.profiler.profile() as profile:
            torch.ones(2)
        profile.export_chrome_trace("trace.json")

    with pytest.raises(detrun.HiddenStateError, match=r"trace\.json"):
        on_a_node(body)


def test_everything_comes_back_after_the_run() -> None:
    classes = (torch._C.PyTorchFileWriter, torch._C.PyTorchFileReader, torch._C.ScriptModule, torch.UntypedStorage)
    before = [dict(vars(one)) for one in (*classes, torch._C, torch.serialization)]
    on_a_node(by_new_format)
    assert [dict(vars(one)) for one in (*classes, torch._C, torch.serialization)] == before


@pytest.mark.slow
def test_it_is_the_same_where_a_node_is_the_first_to_import_torch(tmp_path: Path) -> None:
    path = str(tmp_path / "model.pt")
    program = f"""
import detrun, os
def body():
    import torch
    os.makedirs({str(tmp_path)!r})
    torch.save(torch.ones(2), {path!r})
    found.append(torch.load({path!r}).sum().item())
    torch.jit.script(torch.nn.ReLU()).save({path!r})
    found.append(torch.jit.load({path!r})(torch.ones(1)).item())
    try:
        torch.from_file({path!r}, True, 4)
    except detrun.HiddenStateError:
        found.append("refused")
async def main():
    async with detrun.World() as world:
        world.node("a").start(body)
        await world.node("a").ended()
for _ in range(2):
    found = []
    detrun.record(main)
    print(found)
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    assert done.stdout == "[2.0, 1.0, 'refused']\n[2.0, 1.0, 'refused']\n"
    assert os.listdir(tmp_path) == []
