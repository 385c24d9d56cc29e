"""The assistant over HTTP: POST /chat, POST /reviews, GET /sessions/{id}, and a page to chat on.

Weak on purpose: nobody has to log in, there is no limit on requests, a session is open to whoever knows its number (they count up), a
stranger's review is read by the model at once, and every conversation is written to a plain file for good.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from assistant.agent import Agent, Session, Turn
from assistant.index import Passage
from assistant.model import ModelError
from assistant.rendering import PAGE, html


class Question(BaseModel):
    """Body of POST /chat; without a session a new one begins."""

    message: str
    session: str | None = None


class Review(BaseModel):
    """Body of POST /reviews."""

    author: str
    text: str


class Conversations:
    """Open sessions, and the log of all turns as one JSON object a line."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._open: dict[str, tuple[Session, threading.Lock]] = {}
        self._lock = threading.Lock()

    def get(self, id: str) -> tuple[Session, threading.Lock] | None:
        with self._lock:
            return self._open.get(id)

    def start(self) -> str:
        with self._lock:
            id = str(1001 + len(self._open))
            self._open[id] = (Session(), threading.Lock())
            return id

    def record(self, id: str, turn: Turn) -> None:
        with self._lock:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"session": id, **described(turn)}) + "\n")


def described(turn: Turn) -> dict[str, Any]:
    """A turn as JSON: question, answer, sources with their scores, and every tool call."""
    return {
        "question": turn.question,
        "answer": turn.answer,
        "sources": [{"source": hit.passage.source, "score": round(hit.score, 4)} for hit in turn.hits],
        "calls": [{"step": s.number, "tool": s.tool, "arguments": s.arguments, "result": s.result} for s in turn.steps],
        "asked": turn.asked,
        "stopped": turn.stopped,
    }


def create(agent: Agent, log: Path) -> FastAPI:
    """The web application around one agent; conversations are appended to `log`."""
    app = FastAPI(title="Lantern & Loom support")
    conversations = Conversations(log)

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE

    @app.post("/chat")
    def chat(question: Question) -> dict[str, Any]:
        id = question.session or conversations.start()
        found = conversations.get(id)
        if found is None:
            raise HTTPException(404, f"there is no session {id}")
        session, lock = found
        try:
            with lock:
                turn = agent.answer(question.message, session)
        except ModelError as error:
            raise HTTPException(502, str(error)) from error
        conversations.record(id, turn)
        return {"session": id, "html": html(turn.answer), **described(turn)}

    @app.get("/sessions/{id}")
    def transcript(id: str) -> list[dict[str, Any]]:
        found = conversations.get(id)
        if found is None:
            raise HTTPException(404, f"there is no session {id}")
        return [described(turn) for turn in found[0].turns]

    @app.post("/reviews", status_code=201)
    def review(review: Review) -> dict[str, int]:
        agent.index.add([Passage("customer-reviews.md", f"Customer reviews: {review.author}", review.text)])
        return {"passages": len(agent.index)}

    return app
