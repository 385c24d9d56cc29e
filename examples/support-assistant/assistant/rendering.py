"""Answers as web pages: a little Markdown to HTML, and the page that shows the chat.

Weak on purpose: pictures and links are kept whatever address they point to, HTML in an answer is passed on as it is, and the page puts it
into the document.
"""

from __future__ import annotations

import re


def html(markdown: str) -> str:
    """Paragraphs, bold, links and pictures of a Markdown text as HTML. Nothing is escaped."""
    text = re.sub(r"!\[([^\]]*)\]\(([^)\s]+)\)", r'<img alt="\1" src="\2">', markdown)
    text = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return "".join(f"<p>{part.strip()}</p>" for part in re.split(r"\n{2,}", text) if part.strip())


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Lantern &amp; Loom: support</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}.you{color:#555}</style></head>
<body><h1>How can we help?</h1><div id="chat" aria-live="polite"></div>
<form id="form"><label>Your question <input id="message" size="40" autocomplete="off" required></label> <button>Send</button></form>
<script>
let session = null;
const chat = document.getElementById("chat"), box = document.getElementById("message");
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const mine = document.createElement("p");
  mine.className = "you"; mine.textContent = box.value; chat.append(mine);
  const reply = await fetch("/chat", {method: "POST", headers: {"Content-Type": "application/json"},
                                      body: JSON.stringify({message: box.value, session})});
  const body = await reply.json(), theirs = document.createElement("div");
  if (reply.ok) { session = body.session; theirs.innerHTML = body.html; } else { theirs.textContent = String(body.detail); }
  chat.append(theirs); box.value = "";
});
</script></body></html>
"""
