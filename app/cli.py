"""The command `serve`: settings, a bound port, the lines that say where to look, and a server that ends with 0."""

import argparse
import logging
import os
import socket
import ssl
import sys

import uvloop
from fastapi import FastAPI
from pydantic import ValidationError

from app import log
from app.main import create_app
from app.memory import bound_heaps, settle, unsettle
from app.notify import Notifier
from app.server import Server
from app.service import Service
from app.settings import Settings, faults, unknown
from app.tls import tls_context

_log = logging.getLogger(__name__)


def add_serve(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `serve` to the command line."""
    parser = subparsers.add_parser("serve", help="classify images over HTTP", description=__doc__)
    parser.add_argument("--host", help="address to listen on (HASTE_HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (HASTE_PORT, 8000); 0 lets the system choose")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop: 0; 2 with one line where a setting, a model or the port does not allow it."""
    given = {name: value for name, value in (("host", args.host), ("port", args.port)) if value is not None}
    try:
        settings = Settings(**given)
        log.configure(settings.log_level)
        for name, remedy in unknown(os.environ).items():
            _log.warning("%s is no setting and does nothing: %s", name, remedy)
        bound_heaps()
        tls = tls_context(settings.tls_certificate, settings.tls_key)
        notifier = Notifier.of(os.environ)
        app = create_app(settings)
        listener = bind(settings.host, settings.port)
    except ValidationError as error:
        return _refuse(faults(error, given)[0])
    except ValueError as error:
        return _refuse(str(error))
    with listener:
        return serve(app, settings, listener, tls, notifier)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; ValueError says what is in the way and what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ValueError(f"cannot listen on {host}: {error.strerror}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        remedy = "choose another with --port or HASTE_PORT"
        raise ValueError(f"cannot listen on {host} port {port}: {error.strerror}; {remedy}") from None
    return listener


def serve(
    app: FastAPI, settings: Settings, listener: socket.socket, tls: ssl.SSLContext | None, notifier: Notifier
) -> int:
    """Run the server on the socket; 0, or 2 where a model could not be loaded."""
    service: Service = app.state.service
    server = Server(app, settings, tls, notifier)
    service.on_loaded, service.on_failure = settle, server.stop
    sys.stdout.write(greeting(service, listener, "http" if tls is None else "https"))
    sys.stdout.flush()
    uvloop.run(server.serve(sockets=[listener]))
    unsettle()
    if service.failure is not None:
        return _refuse(service.failure)
    if server.all_answered:
        _log.info("stopped; everything that was accepted is answered")
    else:
        _log.warning("stopped before everything that was accepted was answered")
    return 0


def greeting(service: Service, listener: socket.socket, scheme: str = "http") -> str:
    """Where to look, and what runs."""
    host, port = listener.getsockname()[:2]
    base = f"{scheme}://{'[' + host + ']' if ':' in host else host}:{port}"
    build, settings = service.engine.build, service.settings
    return (
        f"haste {build['version']} serves on {base}\n"
        f"  page      {base}/\n"
        f"  classify  curl --data-binary @photo.jpg {base}/classify\n"
        f"  docs      {base}/docs\n"
        f"  metrics   {base}/metrics\n"
        f"  config    {base}/config\n"
        f"  model     {', '.join(service.names)}, L = {service.steering.state.L}\n"
        f"  compute   {build['implementation']} on {build['arch']}, {settings.threads} threads\n"
    )


def _refuse(message: str) -> int:
    sys.stderr.write(f"haste serve: {message}\n")
    return 2
