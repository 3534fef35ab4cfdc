"""Sells the only ticket of an event to one person and then to the next. See README.md."""

import os
import uuid
from pathlib import Path

from ticket_line import TicketLine, TicketLineError

BASE_URL = os.environ.get("BASE_URL", "http://localhost:3000")
DATA_DIR = Path(os.environ.get("DATA_DIR", Path(__file__).parents[2] / ".data"))

# 1. An organizer signs in, creates an event with one ticket, and an API key for the shop.
admin = os.environ.get("ADMIN_USER", "admin")
password = os.environ.get("ADMIN_PASSWORD") or (DATA_DIR / "admin-password").read_text().strip()
anybody = TicketLine(BASE_URL)
signed_in = anybody.post("/login", {"userId": admin, "password": password})
organizer = TicketLine(BASE_URL, signed_in["token"])
event = organizer.post("/events", {"name": "A concert", "totalTickets": 1, "listed": False})
event_id = event["eventId"]
key = organizer.post(
    "/api-keys",
    {
        "name": "The Python example",
        "scopes": ["bookings:read", "bookings:write"],
        "eventIds": [event_id],
    },
)
print(f"{event['name']} has {event['totalTickets']} ticket.")

# 2. The shop books for its users. The number of an order makes repeats safe.
shop = TicketLine(BASE_URL, key["key"])
order = f"order-{uuid.uuid4()}"
ada = shop.book(event_id, "ada", idempotency_key=order)
print(f"Ada: {ada['outcome']}, booking {ada['bookingId']}")
again = shop.book(event_id, "ada", idempotency_key=order)
print(f"The same order again: {again['outcome']}, booking {again['bookingId']}")
bob = shop.book(event_id, "bob")
print(f"Bob: {bob['outcome']}, position {bob['position']}")

# 3. A refusal is an exception with a code.
try:
    shop.book(event_id, "ada")
except TicketLineError as error:
    print(f"A second ticket for Ada: {error.status} {error.code}")

# 4. A user with a token of their own acts for themselves, in an app for example.
carol = {"userId": f"carol-{uuid.uuid4().hex[:8]}", "password": str(uuid.uuid4())}
anybody.post("/register", carol)
own = TicketLine(BASE_URL, anybody.post("/login", carol)["token"])
own.book(event_id)
me = own.get(f"/events/{event_id}/me")
print(f"Carol: {me['standing']}, position {me['position']}")
print(f"Carol leaves: {own.cancel(event_id)['outcome']}")

# 5. Ada cancels. The shop does not wait, and asks for the decision later.
job = shop.submit("/cancel", {"eventId": event_id, "userId": "ada"})
print(f"Ada cancels: {shop.decision(job)['outcome']}")

# 6. Her ticket went to the first person on the waiting list, in the same transaction.
for booking in shop.get(f"/events/{event_id}/bookings")["bookings"]:
    print(f"{booking['userId']} has booking {booking['bookingId']}, promoted: {booking['promoted']}")
status = anybody.get(f"/status/{event_id}")
print(f"{status['availableTickets']} tickets free, {status['waitingListCount']} people waiting")

organizer.delete(f"/api-keys/{key['id']}")
