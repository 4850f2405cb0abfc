"""Jobs as the API's document shows them, in the states in which they are met."""

from typing import Any

ID, ABOUT = "5f0c6d4e-8a1b-4c2f-9d3a-1b2c3d4e5f60", "0b7e2d52-6f0a-4f4e-8d57-2c8f4f1c9a10"
VIDEO = {"video": f"/api/videos/{ABOUT}", "page": f"/videos/{ABOUT}"}
BEGAN, ENDED = "2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z"

RUNNING: dict[str, Any] = {
    "state": "running",
    "version": 4,
    "progress": 0.4,
    "note": "12 of 30 s",
    "attempt": 1,
    "started_at": BEGAN,
    "outlook": {
        "waiting_for": None,
        "queue_position": None,
        "more": False,
        "starts_in": None,
        "remaining": {"low": 60, "high": 135},
        "longer_than_usual": False,
        "words": "About 1–2 min left",  # noqa: RUF001
    },
}
SUCCEEDED: dict[str, Any] = {
    "state": "succeeded",
    "version": 9,
    "progress": 1.0,
    "attempt": 1,
    "started_at": BEGAN,
    "finished_at": ENDED,
}
CANCELLED: dict[str, Any] = {"state": "cancelled", "version": 2, "finished_at": ENDED}


def job(task: str = "videos.transcode_video", links: dict[str, str] = VIDEO, **changes: Any) -> dict[str, Any]:
    """One that has just been enqueued, but for these changes. links: to what it is about."""
    return {
        "id": ID,
        "task": task,
        "state": "queued",
        "version": 1,
        "progress": None,
        "note": "",
        "attempt": 0,
        "max_attempts": 3,
        "run_at": BEGAN,
        "created_at": BEGAN,
        "started_at": None,
        "finished_at": None,
        "result": None,
        "error": None,
        "outlook": None,
        "links": {"self": f"/api/jobs/{ID}", **links},
        **changes,
    }


def answering(status: int, body: Any) -> dict[str, Any]:
    """What to tell the API's document about an operation whose answer has an example of its own."""
    return {"responses": {status: {"content": {"application/json": {"example": body}}}}}
