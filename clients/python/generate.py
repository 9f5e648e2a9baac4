"""Generates ``monitord_client/v1`` from the protos: ``python clients/python/generate.py [--check]``.

The code is protoc's, with the imports of its siblings made relative, so that the client needs no package named
``monitord``. ``--check`` writes nothing and exits with 1 when the committed code is not what the protos give. It needs
grpcio-tools and mypy-protobuf in the versions that the repository pins.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_PROTO = _HERE.parents[1] / "proto"
_TARGET = _HERE / "src" / "monitord_client" / "v1"
_SIBLING = re.compile(r"^from monitord\.v1 import ", re.MULTILINE)
_INIT = '"""Generated from the protos of package monitord.v1; never edited."""\n'


def generate() -> dict[str, str]:
    """Return the generated files by name.

    Raises ``subprocess.CalledProcessError`` when protoc refuses the protos; it has said why on stderr.
    """
    protos = sorted(str(path.relative_to(_PROTO)) for path in _PROTO.rglob("*.proto"))
    plugins = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(
            [
                *(sys.executable, "-m", "grpc_tools.protoc", f"-I{_PROTO}"),
                *(f"--python_out={out}", f"--grpc_python_out={out}"),
                *(f"--mypy_out=quiet:{out}", f"--mypy_grpc_out=quiet,only_async:{out}"),
                f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
                f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
                *protos,
            ],
            check=True,
        )
        files = {path.name: path.read_text() for path in sorted(Path(out, "monitord", "v1").iterdir())}
    # protoc also writes a _grpc module for each file without a service: nothing is in it.
    useful = {name: text for name, text in files.items() if "_pb2_grpc" not in name or "_service_pb2" in name}
    return {"__init__.py": _INIT} | {name: _SIBLING.sub("from . import ", text) for name, text in useful.items()}


def main() -> int:
    """Write or check the generated files; return the exit code."""
    wanted = generate()
    present = {path.name: path.read_text() for path in _TARGET.glob("*.py*") if path.is_file()}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if "--check" in sys.argv[1:]:
        for name in stale:
            sys.stderr.write(f"{_TARGET / name} is not what the protos give: run {Path(__file__).name}\n")
        return 1 if stale else 0
    _TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (_TARGET / name).write_text(wanted[name])
        else:
            (_TARGET / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
