"""The service on Ray Serve, as `import_path: app.ray_serve:application`. Needs the extra `ray`."""

from pathlib import Path

from fastapi import FastAPI
from ray import serve

from app import log
from app.memory import bound_heaps
from app.replica import Replica, replica_app
from app.settings import Settings


def application(args: dict[str, str]) -> serve.Application:
    """The deployment `haste`, whose replicas each build the service anew: an application does not always pickle.

    args: `targets`, a folder of the node in which every replica names its port for Prometheus. All else is said in the
    engine's configuration file. ValueError for another argument.
    """
    unknown = sorted(set(args) - {"targets"})
    if unknown:
        raise ValueError(f"unknown argument {unknown[0]!r} of app.ray_serve:application; known: targets")
    targets = Path(args["targets"]).expanduser() if "targets" in args else None

    def build() -> FastAPI:
        settings = Settings()
        log.configure(settings.log_level)
        bound_heaps()
        return replica_app(settings, targets)

    return serve.deployment(serve.ingress(build)(Replica), name="haste").bind()
