"""The assistant in a terminal (`python -m assistant [QUESTION]`) or over HTTP (`python -m assistant --serve`)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assistant.agent import Agent, Session
from assistant.index import Index, read_pages
from assistant.model import ModelError, from_environment
from assistant.tools import Shop

HOME = Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m assistant", description="Support assistant of the made-up shop Lantern & Loom.")
    parser.add_argument("question", nargs="?", help="answer this and end; without it, chat until an empty line")
    parser.add_argument("--serve", action="store_true", help="answer over HTTP instead")
    parser.add_argument("--port", type=int, default=8808, help="port on 127.0.0.1 (default 8808)")
    parser.add_argument("--state", type=Path, default=HOME / "state", help="folder for sent mails and the chat log")
    parser.add_argument("--enforce-approval", action="store_true", help="let no refund above the limit through without a person")
    return parser.parse_args()


def chat(agent: Agent, question: str | None) -> None:
    session = Session()
    while text := question or input("you> ").strip():
        turn = agent.answer(text, session)
        for step in turn.steps:
            print(f"  [{step.tool} {step.arguments} -> {step.result}]")
        print(turn.answer)
        if question:
            return


def main() -> int:
    options = arguments()
    try:
        shop = Shop(HOME / "data" / "orders.json", options.state / "outbox", enforce_approval=options.enforce_approval)
        agent = Agent(from_environment(), Index(read_pages(HOME / "documents")), shop)
        if options.serve:
            import uvicorn  # only the service needs it

            from assistant.service import create

            uvicorn.run(create(agent, options.state / "chats.jsonl"), host="127.0.0.1", port=options.port, log_level="warning")
        else:
            chat(agent, options.question)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (EOFError, KeyboardInterrupt):
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
