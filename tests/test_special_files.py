"""Pipes, sockets and devices as inputs: every command refuses them in one line, because reading one may never end."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jpegfreq._files import check_not_special, read_text
from jpegfreq.cli import main
from tests.images import make_jpeg

COMMANDS = [
    ["inspect", "pipe.jpg"],
    ["inspect", "pipe.txt"],
    ["inspect", "pipe.tar"],
    ["decode", "pipe.jpg", "--out", "out"],
    ["decode", "photos", "pipe", "--out", "out"],
    ["decode", "photos", "--channels", "pipe.json", "--out", "out"],
    ["decode", "photos", "--statistics", "pipe.json", "--out", "out"],
    ["show", "pipe.jpg", "--out", "figure.png"],
    ["stats", "pipe", "--out", "stats.json"],
    ["stats", "--merge", "pipe.json", "--out", "stats.json"],
    ["convert", "pipe", "--out", "out"],
    ["transcode", "pipe.jpg", "--out", "out"],
    ["prepare", "pipe.tar", "--out", "out"],
    ["prepare", "pipe", "--out", "out"],
    ["profile", "pipe.jpg"],
    ["profile", "pipe.tar"],
    ["verify", "pipe.jpg"],
]
OF_NETWORKS = [
    ["from-rgb", "--network", "torchvision:resnet18", "--weights", "pipe.pth", "--out", "out"],
    ["from-rgb", "--network", "torchvision:resnet18", "--weights", "w.pth", "--classes", "pipe.txt", "--out", "out"],
    ["train", "photos", "photos", "--channels", "pipe.json", "--out", "out"],
    ["train", "photos", "photos", "--statistics", "pipe.json", "--out", "out"],
    ["train", "pipe.tar", "pipe.tar", "--out", "out"],
    ["train", "photos", "photos", "--weights", "pipe.safetensors", "--out", "out"],
    ["select", "pipe.json", "-k", "6", "--out", "learned.json"],
    ["predict", "photos", "pipe.jpg"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe", "pipe.jpg", "pipe.txt", "pipe.tar", "pipe.json", "pipe.pth", "pipe.safetensors"):
        os.mkfifo(name)
    for name in ("a", "b"):
        Path("photos", name).mkdir(parents=True)
        Path("photos", name, "0.jpg").write_bytes(make_jpeg(64, 48))

    def stop(*_: object) -> None:
        raise TimeoutError("a command waits for a pipe")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pipe_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if words[0] == "show":
        pytest.importorskip("matplotlib")
    (pipe,) = (word for word in words if word.startswith("pipe"))
    assert refusal(words, capsys) == f"jpegfreq {words[0]}: {pipe} is a pipe, but a file is needed"


@pytest.mark.parametrize("words", OF_NETWORKS, ids=" ".join)
def test_a_pipe_is_refused_by_the_commands_for_networks(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pipe = next(word for word in words if word.startswith("pipe"))
    assert refusal(words, capsys) == f"jpegfreq {words[0]}: {pipe} is a pipe, but a file is needed"


def test_a_socket_and_a_device_are_refused() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError, match=r"^socket is a socket, but a file is needed$"):
            check_not_special("socket")
    with pytest.raises(OSError, match=r"^/dev/null is a device, but a file is needed$"):
        read_text("/dev/null")
    check_not_special("photos")
    check_not_special("gone.jpg")  # whoever opens it reports it


def test_a_text_in_another_encoding_is_named() -> None:
    Path("list.json").write_text("Wärme", encoding="latin-1")
    with pytest.raises(ValueError, match=r"^list.json is not text in UTF-8: see its byte 2$"):
        read_text("list.json")
