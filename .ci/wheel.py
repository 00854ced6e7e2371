"""Build the source distribution and the wheel in dist/, check both, and use the wheel in an empty environment."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
MOST_BYTES = 3_000_000
sys.path.insert(0, str(ROOT))

# CPU seconds that an import takes in a new process after NumPy was imported.
IMPORT_TIME = "import time, numpy; start = time.process_time(); import jpegfreq; print(time.process_time() - start)"


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command, end with its output if it fails, and return what it prints."""
    print("$", *command, flush=True)
    done = subprocess.run([str(word) for word in command], cwd=cwd, text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}exit code {done.returncode}")
    return done.stdout


def build() -> Path:
    """Build both, and give a Linux wheel the name of the oldest system it runs on."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    (wheel,) = DIST.glob("*.whl")
    if sys.platform == "linux":
        run(sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", DIST / "repaired", wheel)
        wheel.unlink()
        (wheel,) = (path.rename(DIST / path.name) for path in (DIST / "repaired").iterdir())
        (DIST / "repaired").rmdir()
        if "manylinux" not in wheel.name and "musllinux" not in wheel.name:
            sys.exit(f"{wheel.name} names no system that it runs on")
    return wheel


def use(wheel: Path) -> None:
    """Install a wheel into an empty environment, and use it from another folder."""
    from tests.images import make_jpeg

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "venv", folder / "venv")
        bin = folder / "venv" / "bin"
        run(bin / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        (folder / "photo.jpg").write_bytes(make_jpeg(64, 48))
        print(run(bin / "jpegfreq", "inspect", "photo.jpg", cwd=folder))
        seconds = min(float(run(bin / "python", "-c", IMPORT_TIME, cwd=folder)) for _ in range(7))
        installed = run(bin / "python", "-c", "import jpegfreq; print(jpegfreq.__file__)", cwd=folder)
        if not installed.startswith(str(folder)):
            sys.exit(f"the wheel was not used, but {installed}")
        print(f"import jpegfreq: {1000 * seconds:.0f} ms of CPU time after NumPy")


def main() -> None:
    """Build, check and use the package."""
    for tool in ("build", "twine", *(["auditwheel"] if sys.platform == "linux" else [])):
        if importlib.util.find_spec(tool) is None:
            sys.exit(f"{tool} is not installed: make wheel installs it")
    wheel = build()
    run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir())
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB")
    if size > MOST_BYTES:
        sys.exit(f"the wheel has {size} bytes, more than {MOST_BYTES}")
    use(wheel)


if __name__ == "__main__":
    main()
