"""What the README says of settings and RPCs is what there is."""

import re
from pathlib import Path

from monitord.settings import settings_table
from monitord.v1 import (
    account_service_pb2,
    alert_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    check_log_service_pb2,
    contact_service_pb2,
    heartbeat_service_pb2,
    incident_service_pb2,
    maintenance_service_pb2,
    monitor_service_pb2,
)

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_it_has_every_setting_with_its_default():
    assert settings_table().strip() in README


def test_every_rpc_that_it_names_exists():
    methods = {
        f"{service.name}.{method.name}"
        for file in (
            account_service_pb2,
            alert_service_pb2,
            audit_service_pb2,
            auth_service_pb2,
            check_log_service_pb2,
            contact_service_pb2,
            heartbeat_service_pb2,
            incident_service_pb2,
            maintenance_service_pb2,
            monitor_service_pb2,
        )
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    named = set(re.findall(r"\b(\w+Service\.[A-Z]\w+)", README))
    assert len(named) > 8
    assert named <= methods
