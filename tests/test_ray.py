"""Conversion and statistics by Ray Data: the same bytes as without it, and clear words where Ray is not there."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jpegfreq.cli import main
from jpegfreq.format import TensorFormat
from jpegfreq.store import Conversion, begin, convert_shards, finish, missing_shards
from jpegfreq.store.ray_engine import EngineError, convert_shards_on_ray, ray_session
from jpegfreq.views import EvaluationView
from tests.images import make_jpeg


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """One Ray for all tests: it takes seconds to start."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with ray_session(cores=2):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for n in range(12):
        path = root / ("cat", "dog")[n % 2] / f"{n:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(50 + 7 * n, 60, seed=n))
    (root / "cat" / "04a.jpg").write_bytes(make_jpeg(16, 16, "CMYK"))
    return root


def content(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_ray_makes_the_same_store_and_resumes_one(folder: Path, tmp_path: Path, session: None) -> None:
    names = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")))
    conversion = Conversion(
        folder, names, TensorFormat(channels=24), EvaluationView((32, 32), 40), shard_bytes=5 * 24 * 4 * 4 * 4
    )
    plain, by_ray, begun = tmp_path / "plain", tmp_path / "ray", tmp_path / "begun"
    for out in (plain, by_ray, begun):
        begin(conversion, out)
    convert_shards(conversion, plain, range(3))
    convert_shards(conversion, begun, [1])
    done: list[int] = []
    for out in (by_ray, begun):
        missing = missing_shards(conversion, out)
        convert_shards_on_ray(conversion, out, missing, progress=lambda images, size_bytes: done.append(images))
    assert sum(done[:3]) == 13
    assert sum(done[3:]) == 8
    for out in (plain, by_ray, begun):
        assert finish(conversion, out)[0] == 0
    assert content(plain) == content(by_ray) == content(begun)


def test_convert_reports_the_same_failures_with_ray(
    folder: Path, tmp_path: Path, session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--size", "32", "--channels", "24"]
    assert main(["convert", str(folder), "--out", str(tmp_path / "plain"), *options]) == 1
    plain = capsys.readouterr().err
    assert main(["convert", str(folder), "--out", str(tmp_path / "ray"), *options, "--engine", "ray"]) == 1
    assert "1 failed: 1 unsupported" in capsys.readouterr().err
    assert "1 failed: 1 unsupported" in plain
    assert content(tmp_path / "plain") == content(tmp_path / "ray")


def test_ray_measures_the_same_statistics(
    folder: Path, tmp_path: Path, session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jpegfreq.store.ray_engine._FILES_PER_TASK", 5)
    plain, by_ray = tmp_path / "plain.json", tmp_path / "ray.json"
    assert main(["stats", str(folder), "--size", "32", "--out", str(plain)]) == 1
    assert main(["stats", str(folder), "--size", "32", "--out", str(by_ray), "--engine", "ray"]) == 1
    assert plain.read_bytes() == by_ray.read_bytes()


def test_a_failing_task_is_one_clear_error(folder: Path, tmp_path: Path, session: None) -> None:
    conversion = Conversion(folder, ("cat/00.jpg",), TensorFormat(), EvaluationView((32, 32), 40))
    with pytest.raises(EngineError, match="No such file"):
        convert_shards_on_ray(conversion, tmp_path / "not begun", [0])


def test_a_missing_ray_names_the_extra_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    assert main(["convert", str(folder), "--out", str(tmp_path / "store"), "--engine", "ray"]) == 2
    assert "pip install 'jpegfreq[ray]'" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_an_early_error(folder: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    import ray

    if ray.is_initialized():
        ray.shutdown()
    with (
        pytest.raises(EngineError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"),
        ray_session(address="127.0.0.1:1"),
    ):
        pass


def test_an_address_needs_ray(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(folder), "--out", str(tmp_path / "store"), "--address", "head:6379"]) == 2
    assert "goes with --engine ray" in capsys.readouterr().err


def machines_of(ray: Any) -> int:
    return sum(node["Alive"] for node in ray.nodes())


@pytest.mark.long
def test_a_cluster_that_loses_a_machine_makes_the_same_store(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    import ray
    from ray.cluster_utils import Cluster

    if ray.is_initialized():
        ray.shutdown()
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(48):
        (folder / f"{n:02d}.jpg").write_bytes(make_jpeg(600, 800, seed=n))
    options = ["--size", "32", "--channels", "6"]
    assert main(["stats", str(folder), "--size", "32", "--out", str(tmp_path / "plain.json")]) == 0
    names = tuple(sorted(path.name for path in folder.glob("*.jpg")))
    conversion = Conversion(folder, names, TensorFormat(6), EvaluationView((32, 32), 40), shard_bytes=4 * 6 * 4 * 4 * 4)
    begin(conversion, tmp_path / "plain")
    convert_shards(conversion, tmp_path / "plain", missing_shards(conversion, tmp_path / "plain"))
    assert finish(conversion, tmp_path / "plain")[0] == 0

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        worker = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        statistics = ["stats", str(folder), "--size", "32", "--engine", "ray", "--address", cluster.address]
        assert main([*statistics, "--out", str(tmp_path / "ray.json")]) == 0
        assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "plain.json").read_bytes()
        begin(conversion, tmp_path / "ray")
        done: list[int] = []

        def lose_the_worker(images: int, size_bytes: int) -> None:
            done.append(images)
            if len(done) == 2:
                cluster.remove_node(worker, allow_graceful=False)

        with ray_session(address=cluster.address):
            assert machines_of(ray) == 2
            missing = missing_shards(conversion, tmp_path / "ray")
            assert len(missing) > 8
            convert_shards_on_ray(conversion, tmp_path / "ray", missing, progress=lose_the_worker)
            for _ in range(300):  # the head notices a little later, and the work may be done before
                if machines_of(ray) == 1:
                    break
                time.sleep(0.1)
            assert machines_of(ray) == 1
        assert sum(done) == len(names)
        assert finish(conversion, tmp_path / "ray")[0] == 0
        assert content(tmp_path / "ray") == content(tmp_path / "plain")
        command = ["convert", str(folder), "--engine", "ray", "--address", cluster.address, *options]
        assert main([*command, "--out", str(tmp_path / "command")]) == 0
    finally:
        ray.shutdown()
        cluster.shutdown()
