"""Monitors from a file, for the first start: judged like those of ApplyMonitors."""

from pathlib import Path

import yaml
from google.protobuf import json_format

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.monitor import MonitorSpec
from monitord.rpc.specs import SpecReader
from monitord.v1 import monitor_service_pb2 as pb


def read_set(path: Path, specs: SpecReader) -> list[MonitorSpec]:
    """Return the monitors that a YAML file describes in the JSON mapping of the protos.

    Raises:
        InvalidArgumentError: it is not YAML, not a set of monitors, or one of them breaks a rule.
        OSError: it can't be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        request = json_format.ParseDict(content or {}, pb.ApplyMonitorsRequest())
    except (yaml.YAMLError, json_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgumentError([Violation(str(path), f"must be a set of monitors in YAML: {error}")]) from error
    return specs.with_secrets(specs.whole_set(request.monitors), {})
