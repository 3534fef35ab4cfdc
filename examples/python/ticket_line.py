"""A client of ticket-line that needs nothing but Python 3.9. Copy it into your project.

It covers what every integration needs: errors with their codes, repeats that take effect once, and
decisions that take longer than a request.
"""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from email.message import Message
from typing import Any, Optional

# The longest wait that the service allows, in seconds.
LONGEST_WAIT_S = 30


@dataclass
class Response:
    status: int
    headers: Message
    body: Any


class TicketLineError(Exception):
    """A refusal. `code` is stable, `detail` is a sentence for people, `problem` is the whole body."""

    def __init__(
        self, status: int, problem: dict[str, Any], retry_after_s: Optional[float] = None
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        # The body of 429 has a message and no code.
        self.code: str = problem.get("code", "rate_limited" if status == 429 else "unexpected")
        self.detail: str = problem.get("detail", problem.get("message", ""))
        self.problem = problem
        super().__init__(f"{status} {self.code}: {self.detail}")


class TicketLine:
    """Calls the service with one API key or one user's token.

    `patience_s` is how long a call may take in all, with its repeats, in seconds.
    """

    def __init__(self, base_url: str, token: Optional[str] = None, patience_s: float = 60) -> None:
        self.base_url = base_url.rstrip("/")
        self.token = token
        self.patience_s = patience_s

    def get(self, path: str, **query: Any) -> Any:
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self._repeat("GET", path).body

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """For calls that are not commands, such as signing in. Repeats nothing."""
        return self._send("POST", path, body, {}).body

    def delete(self, path: str) -> None:
        self._repeat("DELETE", path)

    def book(self, event_id: int, user_id: Optional[str] = None, **options: Any) -> dict[str, Any]:
        """Books or holds a ticket, or joins the waiting list: see `outcome` of the result."""
        return self.command("/book", _without_none(eventId=event_id, userId=user_id), **options)

    def cancel(self, event_id: int, user_id: Optional[str] = None, **options: Any) -> dict[str, Any]:
        """Gives back the ticket of a user, or their place on the waiting list."""
        return self.command("/cancel", _without_none(eventId=event_id, userId=user_id), **options)

    def command(
        self, path: str, body: dict[str, Any], idempotency_key: Optional[str] = None
    ) -> dict[str, Any]:
        """Sends a command and returns its decision, however long that takes.

        All attempts have one idempotency key, so the command takes effect once. Pass your own, such
        as the number of an order, if your process may restart in between.
        """
        key = idempotency_key or str(uuid.uuid4())
        prefer = f"return=representation, wait={LONGEST_WAIT_S}"
        response = self._repeat("POST", path, body, {"Idempotency-Key": key, "Prefer": prefer})
        if response.status == 202:
            return self.decision(response.headers["Location"])
        return response.body

    def submit(
        self, path: str, body: dict[str, Any], idempotency_key: Optional[str] = None
    ) -> str:
        """Sends a command without waiting for its decision. Returns the path of its job."""
        key = idempotency_key or str(uuid.uuid4())
        headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
        return self._repeat("POST", path, body, headers).headers["Location"]

    def decision(self, job_path: str) -> dict[str, Any]:
        """Waits until the command of a job is decided. Raises what the command would have raised."""
        headers = {"Prefer": f"return=representation, wait={LONGEST_WAIT_S}"}
        give_up_at = time.monotonic() + self.patience_s
        while True:
            response = self._repeat("GET", job_path, None, headers)
            job = response.body
            if job["state"] == "done":
                if job["status"] >= 400:
                    raise TicketLineError(job["status"], job["body"])
                return job["body"]
            pause_s = float(response.headers.get("Retry-After", 1))
            if time.monotonic() + pause_s > give_up_at:
                raise TimeoutError(f"{job_path} is not decided yet; ask again later")
            time.sleep(pause_s)

    def _repeat(
        self,
        method: str,
        path: str,
        body: Optional[dict[str, Any]] = None,
        headers: Optional[dict[str, str]] = None,
    ) -> Response:
        """Sends a request until it gets an answer other than 429 and 503."""
        give_up_at = time.monotonic() + self.patience_s
        while True:
            try:
                return self._send(method, path, body, headers or {})
            except TicketLineError as error:
                if error.status not in (429, 503):
                    raise
                failure: Exception = error
                pause_s = error.retry_after_s if error.retry_after_s is not None else 1
            except (OSError, http.client.HTTPException) as error:
                # Nobody knows whether the request arrived. A repeat with its key is safe.
                failure = error
                pause_s = random.uniform(0.5, 1.5)
            if time.monotonic() + pause_s > give_up_at:
                raise failure
            time.sleep(pause_s)

    def _send(
        self, method: str, path: str, body: Optional[dict[str, Any]], headers: dict[str, str]
    ) -> Response:
        request = urllib.request.Request(self.base_url + path, method=method, headers=headers)
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=LONGEST_WAIT_S + 10) as answer:
                text = answer.read()
                return Response(answer.status, answer.headers, json.loads(text) if text else None)
        except urllib.error.HTTPError as refusal:
            raise _error_of(refusal) from None


def _error_of(refusal: urllib.error.HTTPError) -> TicketLineError:
    try:
        problem = json.loads(refusal.read())
    except ValueError:
        # Not from the service, but from a proxy in front of it.
        problem = {}
    retry_after = refusal.headers.get("Retry-After", "")
    return TicketLineError(
        refusal.code, problem, float(retry_after) if retry_after.isdigit() else None
    )


def _without_none(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
