"""The application: store, models, feed and workers held together, routes and walls put round them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from cyclorama import __version__
from cyclorama.processes import count_cpus
from cyclorama.service import problems, tasks
from cyclorama.service.auth import Guard, choose_auth
from cyclorama.service.batch_runner import BatchRunner
from cyclorama.service.children import Children
from cyclorama.service.context import Service
from cyclorama.service.doors import DoorKeeper
from cyclorama.service.events import Feed
from cyclorama.service.limits import BodyGate
from cyclorama.service.metrics import Meter, Metrics
from cyclorama.service.origins import OriginGate, check_cors
from cyclorama.service.retention import keep_sweeping
from cyclorama.service.routes import (
    assets,
    batches,
    brands,
    events,
    images,
    jobs,
    layers,
    page,
    parts,
    posters,
    server,
    sessions,
    styles,
    webhooks,
)
from cyclorama.service.routes import cutouts as cutout_routes
from cyclorama.service.settings import ServiceSettings, open_models
from cyclorama.service.store import Store
from cyclorama.service.supervise import Workforce
from cyclorama.service.webhooks import Senders

ROUTES = (
    images,
    layers,
    parts,
    posters,
    jobs,
    batches,
    events,
    assets,
    brands,
    cutout_routes,
    webhooks,
    sessions,
    server,
    styles,
    page,
)


def create_app(settings: ServiceSettings) -> FastAPI:
    """The application of one server; its workers start with it.

    Raises OutputError (data folder, database), ModelNotFoundError, ModelFormatError, ConfigError.
    """
    auth, cors = choose_auth(settings.host, settings.auth), check_cors(settings.cors)
    store = Store(settings.data, settings.database, settings.store)
    children = Children(max(2, min(4, count_cpus() // 2)), tasks.prepare)
    feed = Feed(store)
    crew = (Workforce(settings, store), BatchRunner(settings, store))
    parts = (feed, *crew, Metrics(store, feed), children)
    senders = Senders(store, settings.webhooks)
    service = Service(settings, store, open_models(settings), *parts)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        service.workforce.start()
        senders.start()
        service.batches.start()
        following = asyncio.create_task(feed.run())
        sweeping = asyncio.create_task(keep_sweeping(store, settings))
        warm = asyncio.create_task(asyncio.to_thread(children.start))
        try:
            yield
        finally:
            senders.stop()
            for task in (following, sweeping):
                task.cancel()
            await asyncio.gather(following, sweeping, return_exceptions=True)
            await asyncio.to_thread(service.stop_work, 0.0)
            await asyncio.wait([warm])
            children.close()
            store.close()

    app = FastAPI(
        title="Cyclorama",
        version=__version__,
        summary="Product photos in, advertising images out; the product's pixels stay as given.",
        docs_url=None,
        redoc_url=None,
        lifespan=live,
    )
    app.state.service = service
    for routes in ROUTES:
        app.include_router(routes.router)
    problems.install(app)
    app.add_middleware(BodyGate)
    app.add_middleware(Guard, store, auth, service.rates)
    app.add_middleware(OriginGate, (settings.host, *settings.hosts), cors)
    app.add_middleware(DoorKeeper)
    app.add_middleware(Meter, service.metrics)  # the outermost: it counts refusals, too
    return app
