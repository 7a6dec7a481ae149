"""Webhooks: the secret that signs them, and what became of the last messages."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from sqlalchemy import RowMapping, select

from cyclorama.service.answers import to_time
from cyclorama.service.context import Here, Key
from cyclorama.service.schemas import Shape
from cyclorama.service.tables import deliveries
from cyclorama.service.webhooks import find_secret

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
_SHOWN = 100
DeliveryState = Literal["waiting", "delivered", "given_up"]


class Delivery(Shape):
    """A message to the webhook of a job or a batch."""

    id: str
    """The ``webhook-id`` of all its tries."""
    job: str
    """Or batch."""
    url: str
    state: DeliveryState
    tries: int
    fault: str | None = None
    """What went wrong at the last try."""
    created: datetime
    due: datetime | None = None
    """When it is tried again."""


class Webhooks(Shape):
    """How messages to this key's webhooks are signed, and what became of the last ones."""

    secret: str
    """``whsec_`` and the base64 of the HMAC's key."""
    deliveries: list[Delivery]
    """The last hundred, newest first."""


@router.get("", response_model=Webhooks)
def read_webhooks(service: Here, key: Key) -> Webhooks:
    """What signs the messages to this key's webhooks, and how the last ones went."""
    query = select(deliveries).where(deliveries.c.key == key).order_by(deliveries.c.created.desc())
    with service.store.read() as connection:
        rows = connection.execute(query.limit(_SHOWN)).mappings().all()
    return Webhooks(secret=find_secret(service.store, key), deliveries=[_to_delivery(row) for row in rows])


def _to_delivery(row: RowMapping) -> Delivery:
    ended: DeliveryState = "delivered" if row["fault"] is None else "given_up"
    state: DeliveryState = ended if row["due"] is None else "waiting"
    stated = {name: row[name] for name in ("id", "job", "url", "tries", "fault")}
    return Delivery(**stated, state=state, created=to_time(row["created"]), due=to_time(row["due"]))
