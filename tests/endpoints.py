"""Local HTTP servers that speak the chat completions format: a tiny random model, or a script."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch

import tiny_models


class Served:
    """What answers, and what its clients did; `failures` are sent before the first answers, all with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.requests: list[dict] = []
        self.keys: set[str | None] = set()
        self.lock = threading.Lock()

    def reply(self, body: dict) -> dict:
        raise NotImplementedError


class Script(Served):
    """Answers each prompt with the words that `say` finds for it."""

    def __init__(self, say: Callable[[str], str]) -> None:
        super().__init__()
        self.say = say

    def reply(self, body: dict) -> dict:
        return completion(body, self.say(body["messages"][0]["content"]))


class TinyModel(Served):
    """Answers as a tiny random model does, or with `texts` in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.lm = tiny_models.tiny("llama", chat=True)
        self.texts: list[str] | None = None

    def reply(self, body: dict) -> dict:
        chat = self.lm.tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
        ids = self.lm.tokenizer(chat, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = self.lm.model(torch.tensor([ids])).logits[0, -1]
        letters = self.lm.tokenizer.convert_tokens_to_ids(["A", "B"])
        logits[letters] += 10  # equally: among the 20 that the protocol shows, at an unchanged ratio
        logprobs = logits.log_softmax(-1)
        best = logprobs.topk(20)
        top = [
            {"token": self.lm.tokenizer.decode([i]), "logprob": p}
            for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        content = self.texts[(len(self.requests) - 1) % len(self.texts)] if self.texts else top[0]["token"]
        reply = completion(body, content)
        if body.get("logprobs"):
            reply["choices"][0]["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
        return reply


def completion(body: dict, content: str) -> dict:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return {"id": "chat-1", "object": "chat.completion", "model": body["model"], "choices": [choice]}


@contextmanager
def serving(served: Served) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with served.lock:
                served.keys.add(self.headers.get("Authorization"))
                status, headers = served.failures.pop(0) if served.failures else (served.status, {})
                if self.path != "/v1/chat/completions":
                    status = 404
                if status == 200:
                    served.requests.append(body)
                payload = served.reply(body) if status == served.status else {"error": {"message": f"status {status}"}}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(payload).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
