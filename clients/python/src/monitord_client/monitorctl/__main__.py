"""Starts monitorctl."""

import os


def main() -> None:
    """Run the command line and exit."""
    # gRPC's own log repeats on stderr, in its own words, what we say in ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from monitord_client.monitorctl.app import build
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"monitorctl needs {error.name}: install monitord-client with its extra `cli` (monitord-client[cli])"
        ) from None
    build()()


if __name__ == "__main__":
    main()
