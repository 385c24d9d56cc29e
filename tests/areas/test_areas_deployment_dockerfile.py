"""Dockerfiles: read as BuildKit reads them, each weakness named with its line, no alarm on good ones, hostile files end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.areas.deployment import images, shell
from bartizan.areas.deployment.dockerfile_rules import weaknesses
from bartizan.areas.deployment.instructions import instructions
from bartizan.areas.deployment.stages import expand, reached, stages
from bartizan.engine import registry
from bartizan.methods import secret_shapes
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Job, Severity, Verdict
from bartizan.model.system import Asset, Kind
from bartizan.testing.checks import contract

PIN = "@sha256:" + "a" * 64
BASE = f"python:3.12-slim{PIN}"
CHECK = "deployment.dockerfile"
CONTAINER = Asset(id="image", kind=Kind.CONTAINER, uri="Dockerfile", at=Place("bartizan.yaml", 3))


def failing(text: str) -> set[tuple[str, int]]:
    return {(w.rule, w.place.line) for w in weaknesses(text, "Dockerfile") if w.fails}


def built(middle: str) -> str:
    return f"FROM {BASE}\n{middle}\nUSER 1000\n"


WEAK = {
    "untagged base": ("FROM python\nUSER 1000\n", {("unpinned-base", 1)}),
    "latest": ("FROM python:latest\nUSER 1000\n", {("unpinned-base", 1)}),
    "tag": ("FROM python:3.12-slim\nUSER 1000\n", {("unpinned-base", 1)}),
    "registry with a port and no tag": ("FROM registry.example:5000/ml/base\nUSER 1000\n", {("unpinned-base", 1)}),
    "malformed digest": ("FROM python@sha256:abc\nUSER 1000\n", {("unpinned-base", 1)}),
    "base by an argument with default": ("ARG TAG=3.12\nFROM python:${TAG}\nUSER 1000\n", {("unpinned-base", 2)}),
    "base decided at build time": ("ARG BASE\nFROM $BASE\nUSER 1000\n", {("variable-base", 2)}),
    "weak builder that files are taken from": (
        f"FROM golang:1.23 AS build\nRUN make\nFROM {BASE}\nCOPY --from=build /a /a\nUSER 1000\n",
        {("unpinned-base", 1)},
    ),
    "weak builder by number": (f"FROM golang:1.23\nFROM {BASE}\nCOPY --from=0 /a /a\nUSER 1000\n", {("unpinned-base", 1)}),
    "files from a foreign image": (f"FROM {BASE}\nCOPY --from=nginx:latest /a /a\nUSER 1000\n", {("unpinned-base", 2)}),
    "mount from a foreign image": (f"FROM {BASE}\nRUN --mount=type=bind,from=busybox,target=/b /b/x\nUSER 1000\n", {("unpinned-base", 2)}),
    "root": (f"FROM {BASE}\nUSER root\n", {("root-user", 2)}),
    "root by number and group": (f"FROM {BASE}\nUSER 0:0\n", {("root-user", 2)}),
    "root again at the end": (f"FROM {BASE}\nUSER 1000\nRUN id\nUSER root\n", {("root-user", 4)}),
    "root by a variable": (f"FROM {BASE}\nARG WHO=root\nUSER ${{WHO}}\n", {("root-user", 3)}),
    "user decided at build time": (f"FROM {BASE}\nARG WHO\nUSER $WHO\n", {("variable-user", 3)}),
    "no user": (f"FROM {BASE}\nRUN id\n", {("no-user", 1)}),
    "no user on scratch": ("FROM scratch\nCOPY app /app\n", {("root-user", 1)}),
    "user in the builder alone": (f"FROM {BASE} AS b\nUSER 1000\nFROM {BASE}\nCOPY --from=b /a /a\n", {("no-user", 3)}),
    "root inherited from a stage": (f"FROM {BASE} AS b\nUSER root\nFROM b\nRUN id\n", {("root-user", 2)}),
    "password in ENV": (f"FROM {BASE}\nENV A=1 DB_PASSWORD=hunter2\nUSER 1000\n", {("secret", 2)}),
    "password that is its name": (f"FROM {BASE}\nENV PASSWORD=password1\nUSER 1000\n", {("secret", 2)}),
    "old form of ENV": (f"FROM {BASE}\nENV API_KEY abc def\nUSER 1000\n", {("secret", 2)}),
    "token by its shape": (f"FROM {BASE}\nENV HUB=hf_{'A' * 34}\nUSER 1000\n", {("secret", 2)}),
    "address with a password": (f"FROM {BASE}\nENV DATABASE=postgresql://app:s3cret@db/app\nUSER 1000\n", {("secret", 2)}),
    "key used by RUN": (f"FROM {BASE}\nRUN login ghp_{'a1' * 18}\nUSER 1000\n", {("secret", 2)}),
    "secret argument": (f"FROM {BASE}\nARG HF_TOKEN\nUSER 1000\n", {("secret-argument", 2)}),
    "environment file": (f"FROM {BASE}\nCOPY .env /app/\nUSER 1000\n", {("secret-file", 2)}),
    "private key": (f"FROM {BASE}\nADD keys/id_rsa /home/app/.ssh/\nUSER 1000\n", {("secret-file", 2)}),
    "remote ADD": (f"FROM {BASE}\nADD https://example.org/m.bin /m\nUSER 1000\n", {("remote-add", 2)}),
    "curl into sh": (
        f"FROM {BASE}\nRUN apt-get update && \\\n  curl -fsSL https://x | sudo -E bash -\nUSER 1000\n",
        {("download-and-run", 2)},
    ),
    "curl through tee": (f"FROM {BASE}\nRUN curl https://x | tee f | sh\nUSER 1000\n", {("download-and-run", 2)}),
    "substituted curl": (f'FROM {BASE}\nRUN sh -c "$(wget -qO- https://x)"\nUSER 1000\n', {("download-and-run", 2)}),
    "curl in a heredoc": (f"FROM {BASE}\nRUN <<EOF\nset -e\ncurl https://x | python3 -\nEOF\nUSER 1000\n", {("download-and-run", 4)}),
    "curl in the JSON form": (f'FROM {BASE}\nRUN ["bash", "-c", "curl https://x | bash"]\nUSER 1000\n', {("download-and-run", 2)}),
    "chmod 777": (f"FROM {BASE}\nRUN mkdir /d && chmod -R 777 /d\nUSER 1000\n", {("open-mode", 2)}),
    "chmod a+rwx": (f"FROM {BASE}\nRUN chmod a+rwx /d\nUSER 1000\n", {("open-mode", 2)}),
    "COPY with chmod": (f"FROM {BASE}\nCOPY --chmod=0777 a /a\nUSER 1000\n", {("open-mode", 2)}),
    "pip without pins": (f"FROM {BASE}\nRUN pip install --no-cache-dir torch 'numpy>=1'\nUSER 1000\n", {("unpinned-package", 2)}),
    "python -m pip from a branch": (
        f"FROM {BASE}\nRUN python3 -m pip install -U git+https://example.org/x@main\nUSER 1000\n",
        {("unpinned-package", 2)},
    ),
    "uv": (f"FROM {BASE}\nRUN uv pip install --system fastapi\nUSER 1000\n", {("unpinned-package", 2)}),
    "certificates ignored": (f"FROM {BASE}\nRUN curl -skL https://x -o y\nUSER 1000\n", {("unverified-fetch", 2)}),
    "escape directive": (f"# escape=`\nFROM {BASE}\nRUN dir `\n  && chmod 777 C:\\x\\\nUSER root\n", {("open-mode", 3), ("root-user", 5)}),
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_dockerfiles_are_found_with_their_line(name: str) -> None:
    text, expected = WEAK[name]
    assert failing(text) == expected


GOOD = {
    "plain": f"FROM {BASE}\nUSER 10001:10001\n",
    "group of root": f"FROM {BASE}\nUSER 1001:0\n",
    "tag and digest in an argument": f"ARG BASE={BASE}\nFROM ${{BASE}}\nUSER 1000\n",
    "default in the variable": f"FROM ${{BASE:-{BASE}}}\nUSER 1000\n",
    "scratch with a user": "FROM scratch\nCOPY app /app\nUSER 65532\n",
    "distroless": f"FROM gcr.io/distroless/python3:nonroot{PIN}\nCOPY app /app\n",
    "user from a stage": f"FROM {BASE} AS base\nUSER 1000\nFROM base AS final\nRUN id\n",
    "unused weak stage": f"FROM node:latest AS unused\nUSER root\nRUN curl https://x | sh\nFROM {BASE}\nUSER 1000\n",
    "root in the builder": f"FROM {BASE} AS build\nUSER root\nRUN make\nFROM {BASE}\nCOPY --from=build /a /a\nUSER 1000\n",
    "root for a moment": built("USER root\nRUN apt-get update"),
    "secret mount": "# syntax=docker/dockerfile:1\n" + built("RUN --mount=type=secret,id=hf TOKEN=$(cat /run/secrets/hf) ./get"),
    "names like secrets": built("ENV MAX_TOKENS=512 TOKENIZERS_PARALLELISM=false DB_PASSWORD_FILE=/run/secrets/db GPG_KEY=A035C8C1"),
    "secret by path or empty": built("ENV API_TOKEN= HF_TOKEN=your_token_here S3_SECRET=MY_S3_SECRET_VALUE DB_PASSWORD=/run/secrets/db"),
    "verified ADD": built(f"ADD --checksum=sha256:{'b' * 64} https://example.org/m.bin /m\nADD https://example.org/x.git#{'c' * 40} /x"),
    "download and verify": built(f"RUN curl -fsSLO https://x/i.sh && echo '{'d' * 64}  i.sh' | sha256sum -c - && sh i.sh"),
    "json from curl": built("RUN curl https://x | python3 -m json.tool > y && curl https://x | jq . | tee z"),
    "sticky and strict modes": built("RUN chmod 1777 /tmp; chmod 755 /a && chmod u+w,go-w /b && chmod g=rwX /c && chmod +x /d"),
    "pip from files": built("RUN pip install --require-hashes -r requirements.txt && pip install --no-deps . /wheels/*.whl"),
    "pip with pins": built("RUN python -m pip install --upgrade pip==24.2 && pip install -i https://x/simple 'torch==2.4.0' numpy==$V"),
    "pip from a commit": built(f"RUN pip install git+https://example.org/x@{'e' * 40} -c constraints.txt"),
    "heredoc file with odd words": built("COPY <<EOF /etc/motd\nUSER root\nFROM nowhere\nRUN chmod 777 /\nEOF"),
    "comment in a continuation": built("RUN a \\\n# chmod 777 /x\n\n  # another\n  && b"),
    "comment in a heredoc": built("RUN <<-'EOF'\n\t# curl https://x | sh\n\techo done\n\tEOF"),
    "lower case and CRLF": f"from {BASE}\r\nuser 1000\r\n",
    "quoted heredoc sign": f'FROM {BASE}\nRUN echo "a <<EOF b" && echo $((1 << 2))\nUSER 1000\n',
    "healthcheck": f'FROM {BASE}\nHEALTHCHECK --interval=5s CMD curl -f http://localhost/ || exit 1\nUSER 1000\nCMD ["sh"]\n',
    "printed advice": built("RUN echo 'curl https://x | sh' > README && printf 'chmod 777 x'"),
    "example environment": built("COPY .env.example src/ /app/"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_dockerfiles_give_no_alarm(name: str) -> None:
    assert failing(GOOD[name]) == set()


def test_all_weaknesses_of_one_file_come_in_one_finding(run_check, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nENV TOKEN=abc123\nRUN pip install torch\n")
    [finding] = run_check(CHECK, CONTAINER)
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert {str(p) for p in finding.places} == {"Dockerfile:1", "Dockerfile:2", "Dockerfile:3"}
    assert "abc123" not in str(finding)
    assert "probability_cap" not in finding.details


def test_a_pass_says_what_was_not_looked_at(run_check, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN useradd app\nUSER app\n")
    [finding] = run_check(CHECK, CONTAINER)
    assert finding.verdict is Verdict.PASS
    assert finding.details["probability_cap"] == 0.2
    assert "what the base images hold was not looked at" in finding.why
    assert "Dockerfile:3" in finding.why


def test_a_folder_means_its_dockerfiles(run_check, tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for name in ("Dockerfile", "Containerfile.gpu", "train.dockerfile", "Dockerfile.dockerignore"):
        (tmp_path / "img" / name).write_text("FROM python\nUSER 1\n" if "ignore" not in name else "*\n")
    [finding] = run_check(CHECK, Asset(id="image", kind=Kind.CONTAINER, uri="img"))
    assert {str(p) for p in finding.places} == {"img/Containerfile.gpu:1", "img/Dockerfile:1", "img/train.dockerfile:1"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "hello world\n",
        "RUN a\nFROM b\n",
        "FROM a b\n",
        "FROM a\nRUN <<EOF\nno end\n",
        "{}",
        "FROM a\nONBUILD ONBUILD RUN x",
    ],
)
def test_what_is_no_dockerfile_is_an_error_with_a_place(text: str) -> None:
    with pytest.raises(InputError) as error:
        weaknesses(text, "Dockerfile")
    assert str(error.value).startswith("Dockerfile")


def test_instructions_as_buildkit_reads_them() -> None:
    """Known answers from the Dockerfile reference: directives, continuations, heredocs, flags, ONBUILD."""
    text = "# syntax=docker/dockerfile:1\n# escape=`\n\nFROM --platform=$BUILDPLATFORM a AS b\n"
    text += "COPY <<one <<-two /d\nx\none\n\ty\n\ttwo\nONBUILD RUN a `\n b\n"
    found = [(i.word, i.text, i.line, i.flags, i.heredocs, i.triggered) for i in instructions(text, "f")]
    assert found == [
        ("FROM", "a AS b", 4, (("platform", "$BUILDPLATFORM"),), (), False),
        ("COPY", "<<one <<-two /d", 5, (), ((6, "x"), (8, "\ty")), False),
        ("RUN", "a  b", 10, (), (), True),
    ]


def test_a_directive_counts_only_at_the_top() -> None:
    assert [i.word for i in instructions("# why\n# escape=`\nFROM a \\\n AS b\n", "f")] == ["FROM"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$A-${B}", "1-2"), ("${C:-x}", "x"), ("${A:+y}", "y"), ("${C:+y}", ""), (r"\$A", "$A"), ("$C", None), ("${D}", None), ("$$A", "$1")],
)
def test_variables(text: str, expected: str | None) -> None:
    assert expand(text, {"A": "1", "B": "2", "D": None}) == expected


def test_stages_that_reach_the_image() -> None:
    text = (
        "FROM a AS one\nFROM b AS two\nFROM one AS three\nFROM c AS four\nRUN --mount=from=two,target=/t x\nFROM four\nCOPY --from=2 / /\n"
    )
    assert [s.name for s in reached(stages(instructions(text, "f"), "f"))] == ["one", "two", "three", "four", ""]


@pytest.mark.parametrize(
    ("reference", "name", "tag", "pinned"),
    [
        ("python", "python", "", False),
        ("localhost:5000/a/b", "localhost:5000/a/b", "", False),
        ("localhost:5000/a/b:1.2", "localhost:5000/a/b", "1.2", False),
        (f"a/b:1{PIN}", "a/b", "1", True),
        (f"a{PIN}", "a", "", True),
    ],
)
def test_image_references(reference: str, name: str, tag: str, pinned: bool) -> None:
    found = images.parse(reference)
    assert (found.name, found.tag, found.pinned) == (name, tag, pinned)


@given(st.text(max_size=300))
def test_any_text_is_split_to_its_end(text: str) -> None:
    words = [word for command in shell.commands(text) for word in command.words]
    assert sum(map(len, words)) <= len(text)
    secret_shapes.secret_value(text)
    secret_shapes.secret_name(text)


@given(st.text(alphabet="FROM a\\\n#<<E'\"$`{}:-=RUN ", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        weaknesses("FROM a\n" + text, "f")
    except InputError as error:
        assert error.place is not None  # noqa: PT017 - a text that is read is as good


@pytest.mark.parametrize(
    "content",
    [
        b"FROM " + b"a" * 10_000_000,
        b"FROM a\nRUN " + b"curl " * 100_000,
        b"FROM a\nRUN " + b"a\\\n" * 150_000,
        b"FROM a\nRUN " + b"'" * 500_001,
        b"FROM a\nRUN " + b"\"'" * 250_000,
        b"FROM a\nRUN " + b"<<A " * 100_000,
        b"FROM a\nENV " + b"A=$A$A" * 80_000,
        b"FROM a\nARG A=aaaaaaaa\n" + b"ARG A=$A$A\n" * 40_000,
        b"FROM a AS a\n" * 40_000,
        b"FROM a\nRUN [" + b"[" * 400_000,
        b"FROM a\nUSER ${" + b"A:-${" * 90_000,
        b"FROM a\nENV K=" + b"a://" * 120_000,
        b"\xff\xfe" * 200_000,
        b"FROM a\nRUN " + b"sh -c $(" * 60_000,
        b"FROM a\nRUN <<E\n" + b"curl x | \\\n" * 45_000 + b"E\n",
    ],
)
def test_hostile_files_end_quickly(run_check, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "Dockerfile").write_bytes(content)
    begun = time.process_time()
    try:
        run_check(CHECK, CONTAINER)
    except InputError as error:
        assert str(error).startswith("Dockerfile")  # noqa: PT017 - the one error that a hostile file may end in
    assert time.process_time() - begun < 5


def test_keeps_the_contract(tmp_path: Path) -> None:
    described = registry.get(CHECK)
    jobs = []
    for name, text in (("weak", WEAK["curl into sh"][0]), ("good", GOOD["plain"]), ("odd", "hello")):
        (tmp_path / name).write_text(text)
        subject = Asset(id="image", kind=Kind.CONTAINER, uri=name)
        jobs.append(Job(check=CHECK, version="1", threats=described.threats, subject=subject, root=str(tmp_path)))
    assert [o.findings[0].verdict for o in contract(described, jobs)] == [Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN]
