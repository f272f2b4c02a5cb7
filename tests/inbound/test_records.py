import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.inbound.records import Event, Lead, describe, network_hasher


def problem_of(model: type[Lead] | type[Event], data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return describe(caught.value)


def test_a_lead_is_written_in_one_form() -> None:
    lead = Lead.model_validate(
        {
            "email": " Ann.Lee@Example.COM ",
            "phone": "+1 (555) 123-4567",
            "first_name": "",
            "external_id": 42,
            "country": "US",
            "timezone": "America/New_York",
            "created_at": "2026-11-02T10:30:00+01:00",
            "attributes": {"plan": "pro", "seats": 3, "score": 0.5, "trial": True},
        }
    )
    assert lead.dump() == {
        "email": "ann.lee@example.com",
        "phone": "+15551234567",
        "external_id": "42",
        "country": "US",
        "timezone": "America/New_York",
        "created_at": "2026-11-02T09:30:00.000000Z",
        "attributes": {"plan": "pro", "seats": 3, "score": 0.5, "trial": True},
    }


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "a lead needs an email, a phone or an external_id"),
        ({"email": "  "}, "a lead needs an email, a phone or an external_id"),
        ({"email": "ann"}, "email: should be one address such as ann@example.com"),
        ({"email": "a@b.co, c@d.co"}, "email: should be one address"),
        ({"email": "a@b.co\r\nBcc: x@y.zz"}, "email: should be one address"),
        ({"phone": "5551234567"}, r"phone: should begin with \+ and the country code"),
        ({"phone": "+1"}, r"phone: should begin with \+ and the country code"),
        ({"email": "a@b.co", "timezone": "Mars/Base"}, "timezone: should be an IANA zone"),
        ({"email": "a@b.co", "country": "usa"}, "country: "),
        ({"email": "a@b.co", "created_at": "2026-02-30T00:00:00Z"}, "created_at: "),
        ({"email": "a@b.co", "created_at": "2026-02-20T00:00:00"}, "created_at: .*timezone"),
        ({"email": "a@b.co", "created_at": "0001-01-01T00:00:00Z"}, "created_at: .*1970"),
        ({"email": "a@b.co", "created_at": True}, "created_at: should be a moment"),
        ({"email": "a@b.co", "created_at": math.inf}, "created_at: should be a moment"),
        ({"email": "a@b.co", "attributes": {"a": math.nan}}, "attributes: a should be"),
        ({"email": "a@b.co", "attributes": {"a": []}}, "attributes: a should be"),
        ({"email": "a@b.co", "mail": "x"}, "mail: Extra inputs"),
    ],
)
def test_a_lead_that_is_not_right_is_refused_with_what_to_write(
    data: dict[str, Any], problem: str
) -> None:
    assert re.match(problem, problem_of(Lead, data))


def test_a_problem_does_not_repeat_personal_data() -> None:
    assert "ann" not in problem_of(Lead, {"email": "annette"}).replace("ann@example.com", "")


def test_an_event_is_written_in_one_form() -> None:
    event = Event.model_validate(
        {
            "kind": "converted",
            "name": "sale",
            "send_id": 7,
            "value": 1e3,
            "currency": "EUR",
            "occurred_at": 1_762_075_800,
            "agent": "x" * 999,
        }
    )
    assert event.dump() == {
        "kind": "converted",
        "name": "sale",
        "send_id": 7,
        "value": "1000.0",
        "currency": "EUR",
        "occurred_at": "2025-11-02T09:30:00.000000Z",
        "agent": "x" * 300,
    }


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"kind": "opened"}, "an event needs a send_id"),
        ({"kind": "opend", "send_id": 1}, "kind: Input should be"),
        ({"kind": "converted", "send_id": 1}, "a converted event needs a name"),
        ({"kind": "custom", "send_id": 1}, "a custom event needs a name"),
        ({"kind": "converted", "name": "sale", "send_id": 1, "value": 5}, "a value needs its"),
        ({"kind": "opened", "send_id": 2**63}, "send_id: "),
        ({"kind": "opened", "send_id": 1, "currency": "euro"}, "currency: "),
        ({"kind": "opened", "send_id": 1, "value": "NaN", "currency": "EUR"}, "value: "),
        ({"kind": "opened", "send_id": 1, "value": "1e15", "currency": "EUR"}, "value: "),
    ],
)
def test_an_event_that_is_not_right_is_refused_with_what_to_write(
    data: dict[str, Any], problem: str
) -> None:
    assert problem_of(Event, data).startswith(problem)


@given(st.ip_addresses(v=4), st.integers(0, 255))
def test_addresses_of_one_network_have_one_hash(address: Any, last: int) -> None:
    hash_network = network_hasher("salt")
    neighbour = ".".join([*str(address).split(".")[:3], str(last)])
    assert hash_network(str(address)) == hash_network(neighbour)
    assert hash_network(f"::ffff:{address}") == hash_network(neighbour)


def test_other_networks_and_other_keys_have_other_hashes() -> None:
    hash_network = network_hasher("salt")
    hashes = {
        hash_network("203.0.113.9"),
        hash_network("203.0.114.9"),
        hash_network("2001:db8:1::1"),
        hash_network("2001:db8:2::1"),
        network_hasher("other")("203.0.113.9"),
    }
    assert len(hashes) == 5
    assert hash_network("2001:db8:1:5::1") == hash_network("2001:db8:1::1")


@pytest.mark.parametrize("address", [None, "", "unknown", "1.2.3", "1.2.3.4:80"])
def test_what_is_no_address_has_no_network(address: str | None) -> None:
    assert network_hasher("salt")(address) is None
