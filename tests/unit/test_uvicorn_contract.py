"""What we reach into of uvicorn and httptools: each name, so that a new version that changed one says which."""

import asyncio
import inspect
from typing import Any

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

METHODS: dict[type, dict[str, list[str]]] = {
    HttpToolsProtocol: {
        "__init__": ["self", "config", "server_state", "app_state", "_loop"],
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "pause_writing": ["self"],
        "on_message_begin": ["self"],
        "on_url": ["self", "url"],
        "on_header": ["self", "name", "value"],
        "on_headers_complete": ["self"],
        "on_body": ["self", "body"],
        "on_message_complete": ["self"],
        "on_response_complete": ["self"],
        "send_400_response": ["self", "msg"],
        "_start_asgi_task": ["self", "cycle", "app"],
        "_unset_keepalive_if_required": ["self"],
    },
    FlowControl: {"__init__": ["self", "transport"], "resume_reading": ["self"]},
    RequestResponseCycle: {
        "__init__": [
            "self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers",
            "message_event", "expect_100_continue", "keep_alive", "on_response",
        ],
    },
    uvicorn.Server: {
        "__init__": ["self", "config"],
        "capture_signals": ["self"],
        "on_tick": ["self", "counter"],
        "handle_exit": ["self", "sig", "frame"],
        "serve": ["self", "sockets"],
    },
}  # fmt: skip
"""Methods that we override or call, with their parameters."""

OF_A_PROTOCOL = [
    "app", "app_state", "access_log", "access_logger", "asgi_version", "client", "config", "connections", "cycle",
    "expect_100_continue", "flow", "headers", "limit_concurrency", "logger", "loop", "parser", "pipeline", "root_path",
    "scheme", "scope", "server", "server_state", "tasks", "timeout_keep_alive", "timeout_keep_alive_task", "transport",
]  # fmt: skip
OF_A_CYCLE = [
    "body",
    "disconnected",
    "keep_alive",
    "message_event",
    "more_body",
    "response_complete",
    "response_started",
]
OF_A_FLOW = ["read_paused", "write_paused", "resume_reading"]
OF_A_PARSER = ["feed_data", "get_http_version", "get_method", "should_keep_alive"]
OF_A_SERVER_STATE = ["connections", "default_headers", "tasks", "total_requests"]


def signature(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)


@pytest.mark.parametrize("owner", METHODS, ids=lambda owner: owner.__name__)
def test_methods_are_as_we_override_and_call_them(owner: type) -> None:
    assert {name: signature(getattr(owner, name)) for name in METHODS[owner]} == METHODS[owner]


async def test_objects_have_what_we_read_and_set() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        """Nobody calls it."""

    config = uvicorn.Config(app, log_config=None, ws="none")
    protocol = HttpToolsProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    assert [name for name in OF_A_PROTOCOL if not hasattr(protocol, name)] == []
    assert [name for name in OF_A_PARSER if not hasattr(protocol.parser, name)] == []
    assert [name for name in OF_A_SERVER_STATE if not hasattr(ServerState(), name)] == []
    flow = FlowControl(asyncio.Transport())
    assert [name for name in OF_A_FLOW if not hasattr(flow, name)] == []
    cycle = RequestResponseCycle(
        scope={"type": "http", "headers": []},  # type: ignore[typeddict-item]
        transport=asyncio.Transport(),
        flow=flow,
        logger=protocol.logger,
        access_logger=protocol.access_logger,
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )
    assert [name for name in OF_A_CYCLE if not hasattr(cycle, name)] == []


def test_the_module_makes_flows_by_a_name_that_it_looks_up() -> None:
    assert httptools_impl.FlowControl is FlowControl
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


def test_an_error_in_a_callback_keeps_its_cause() -> None:
    """`BoundedProtocol` tells by it which of its own refusals stopped the parser."""

    class Refuses:
        def on_url(self, _url: bytes) -> None:
            raise KeyError("ours")

    with pytest.raises(httptools.HttpParserError) as caught:
        httptools.HttpRequestParser(Refuses()).feed_data(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(caught.value.__context__, KeyError)
    assert issubclass(httptools.HttpParserUpgrade, Exception)
    assert httptools.parse_url(b"http://a:1/b?c").host == b"a"
