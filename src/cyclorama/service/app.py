"""The application: store, models, feed and workers held together, routes and walls put round them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from cyclorama import __version__
from cyclorama.service import problems
from cyclorama.service.context import Service
from cyclorama.service.events import Feed
from cyclorama.service.metrics import Meter, Metrics
from cyclorama.service.routes import assets, events, images, jobs, page, server, styles
from cyclorama.service.settings import ServiceSettings, open_models
from cyclorama.service.store import Store
from cyclorama.service.supervise import Workforce

ROUTES = (images, jobs, events, assets, server, styles, page)


def create_app(settings: ServiceSettings) -> FastAPI:
    """The application of one server; its workers start with it.

    Raises OutputError (data folder, database), ModelNotFoundError, ModelFormatError, ConfigError.
    """
    store = Store(settings.data, settings.database, settings.store)
    feed = Feed(store)
    parts = (feed, Workforce(settings, store), Metrics(store, feed))
    service = Service(settings, store, open_models(settings), *parts)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        service.workforce.start()
        following = asyncio.create_task(feed.run())
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await asyncio.to_thread(service.workforce.stop, 0.0)
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
    app.add_middleware(Meter, service.metrics)
    return app
