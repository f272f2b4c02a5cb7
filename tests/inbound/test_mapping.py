import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inbound.mapping import Mapped, load_provider, load_providers, map_body
from pipeline.inbound.records import network_hasher
from pipeline.settings import DripError

HEADERS = {"webhook-id": "msg_1", "authorization": "not for the mapping"}
WEBHOOK = load_providers(Path("/no/such/folder"))["webhook"]


def mapped(body: Any) -> Mapped:
    raw = body if isinstance(body, str) else json.dumps(body)
    return map_body(WEBHOOK, HEADERS, raw, network_hasher("salt"))


def test_an_event_keeps_everything_we_have_a_word_for() -> None:
    result = mapped(
        {
            "type": "converted",
            "timestamp": "2026-11-02T09:30:00Z",
            "data": {
                "email": "Ann@Example.com",
                "name": "sale",
                "value": "49.90",
                "currency": "EUR",
                "agent": "Shop/1.0",
                "address": "203.0.113.9",
                "cart": "unknown fields are theirs",
            },
        }
    )
    network = network_hasher("salt")("203.0.113.0")
    assert result == Mapped(
        events=[
            {
                "key": "msg_1:0",
                "kind": "converted",
                "name": "sale",
                "occurred_at": "2026-11-02T09:30:00.000000Z",
                "email": "ann@example.com",
                "value": "49.90",
                "currency": "EUR",
                "agent": "Shop/1.0",
                "network": network,
            }
        ]
    )
    assert "203.0.113" not in str(result)


def test_a_lead_takes_the_time_of_the_message_when_it_has_none_itself() -> None:
    data = {"email": "ann@example.com", "source": "META"}
    result = mapped({"type": "lead", "timestamp": "2026-11-02T09:30:00Z", "data": data})
    assert result.leads == [data | {"created_at": "2026-11-02T09:30:00.000000Z"}]
    assert result.errors == []


def test_a_list_gives_each_item_its_own_key_and_bad_items_harm_no_good_ones() -> None:
    opened = {"type": "opened", "data": {"send_id": 5}}
    bad = {"type": "oepned", "data": {"send_id": 5}}
    result = mapped([opened, bad, opened])
    assert [event["key"] for event in result.events] == ["msg_1:0", "msg_1:2"]
    (reason, raw), *others = result.errors
    assert others == []
    assert reason.startswith("Item 2: kind: Input should be 'accepted'")
    assert json.loads(raw) == bad


def test_a_ping_means_nothing() -> None:
    assert mapped({"type": "ping"}) == Mapped()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "The body is not JSON: "),
        ("{", "The body is not JSON: "),
        ('{"type": NaN}', "The body is not JSON: NaN is not a JSON value."),
        ("1" * 5000, "The body is not JSON: "),
        ("[" * 100_000, "The body is nested too deeply."),
        ("[]", "webhook.yml, items: finds nothing in the body."),
        ("null", "webhook.yml, items: finds nothing in the body."),
        ("5", "Item 1: kind: Field required"),
        ('{"type": "lead"}', "Item 1: a lead needs an email"),
        ('{"type": "opened", "data": []}', "Item 1: an event needs a send_id"),
    ],
)
def test_what_cannot_be_mapped_is_kept_with_its_reason(body: str, reason: str) -> None:
    result = mapped(body)
    assert result.leads == result.events == []
    ((given, raw),) = result.errors
    assert given.startswith(reason)
    assert raw == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
words = st.sampled_from(["lead", "opened", "converted", "custom", "ping", "other"])
fields = st.sampled_from(["email", "phone", "value", "currency", "name", "attributes", "send_id"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": words | json_values, "data": st.dictionaries(fields, json_values)},
            optional={"timestamp": json_values},
        )
        | json_values,
        max_size=4,
    )
)
def test_nothing_in_a_body_can_break_the_mapping(body: list[Any]) -> None:
    result = mapped(body)
    json.dumps([result.leads, result.events, result.errors], allow_nan=False)


def write(folder: Path, text: str, name: str = "own.yml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


MINIMAL = """\
inbound:
  signature: standard_webhooks
  secret: webhook_secret
  items: body.list
  events:
    when: item.e == 'o'
    fields:
      kind: "'opened'"
      send_id: item.n
"""


def test_a_workspaces_own_provider_is_found_and_wins_over_ours(tmp_path: Path) -> None:
    write(tmp_path / "providers", MINIMAL)
    write(tmp_path / "providers", MINIMAL, "webhook.yml")
    write(tmp_path / "providers", "outbound: {url: https://example.com}", "sender.yml")
    providers = load_providers(tmp_path)
    assert set(providers) == {"own", "webhook"}
    assert providers["webhook"].leads is None
    body = '{"list": [{"e": "o", "n": 3}, {"e": "x"}]}'
    result = map_body(providers["own"], {}, body, network_hasher(""))
    assert result.events == [{"kind": "opened", "send_id": 3}]
    assert result.errors == [("Item 2: no rule of own.yml is for it.", '{"e": "x"}')]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("standard_webhooks", "hmac"), r":2: inbound.signature: 'hmac' is no scheme; write"),
        (("webhook_secret", "api_key"), r":3: inbound.secret: Input should be 'webhook_secret'"),
        (("body.list", "body..list"), r":4: inbound.items: 'body..list' is no JMESPath expr"),
        (("  items: body.list\n", ""), r":1: inbound.items: Field required"),
        (("item.e ==", "sum2(item.e) =="), r":6: inbound.events.when: .* no function 'sum2'"),
        (("send_id:", "sendid:"), r":9: inbound.events.fields.sendid: there is no such field"),
        (("  events:", "  event:"), r":5: inbound.event: Extra inputs are not permitted"),
        (("item.n", "[item.n"), r":10: expected"),
        (("when: item.e", "when: : item.e"), r":6: .*"),
    ],
)
def test_a_provider_file_that_is_not_right_names_file_line_and_field(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = write(tmp_path, MINIMAL.replace(*change))
    with pytest.raises(DripError, match=r"own\.yml" + message):
        load_provider(path)


def test_a_provider_file_that_is_no_mapping_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DripError, match="should hold a mapping"):
        load_provider(write(tmp_path, "- just a list"))
    broken = tmp_path / "binary.yml"
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DripError, match=r"binary\.yml cannot be read"):
        load_provider(broken)


def test_an_items_expression_that_fails_on_a_body_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("body.list", "keys(body)"))
    provider = load_provider(path)
    assert provider is not None
    ((reason, _),) = map_body(provider, {}, "[1]", network_hasher("")).errors
    assert reason.startswith("own.yml, items: In function keys()")
