"""Running cases through adapters, those that behave and those that do not."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mailauth.testing.conformance import Adapter, Case, Status, cases, judged
from mailauth.testing.conformance.adapter import MAX_STARTS
from mailauth.testing.conformance.command import main
from tests.conformance.ours import EXAMPLES
from tests.servers import missing, need

ONE = next(case for case in cases("spf") if case.id == "spf/4.6.2-qualifiers/01")


def program(tmp_path: Path, body: str) -> list[str]:
    """An adapter in Python: what it does with each line."""
    path = tmp_path / "adapter.py"
    path.write_text(f"import json, os, sys, time\nfor line in sys.stdin:\n    {body}\n")
    return [sys.executable, str(path)]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ('print(\'{"result": "pass"}\', flush=True)', "pass", ""),
        ('print(\'{"result": "fail"}\', flush=True)', "fail", "result is fail, expected pass"),
        ("print('{\"unsupported\": true}', flush=True)", "unsupported", ""),
        ('print(\'{"unsupported": "no SPF"}\', flush=True)', "unsupported", "no SPF"),
        ('print(\'{"error": "oops"}\', flush=True)', "error", "the adapter says: oops"),
        ('print(\'{"outcome": "pass"}\', flush=True)', "error", "the reply has no 'result'"),
        ("print('hello', flush=True)", "error", "printed no JSON: b'hello'"),
        ("print('[' * 100_000, flush=True)", "error", "printed no JSON"),
        ("print('[1]', flush=True)", "error", "printed no JSON object"),
        ("print('x' * 5_000_000, end='', flush=True)", "error", "without a line end"),
        ("os.write(1, bytes(range(128, 256)) + b'\\n')", "error", "printed no JSON"),
        ("sys.exit('I am broken')", "error", "ended with status 1; it wrote: I am broken"),
        ("os._exit(0)", "error", "ended with status 0"),
        ("os.close(1); time.sleep(60)", "error", "closed its output"),
        ("time.sleep(60)", "error", "did not reply within 0.5 s"),
        ("print('{}\\n{}', flush=True)", "error", "printed more than one line: b'{}"),
        ("sys.stderr.write('x' * 5_000_000 + ' the end'); os._exit(1)", "error", "xxx the end"),
        ('print(\'{"result": "\\\\ud800"}\', flush=True)', "fail", "result is '\\ud800'"),
        ("print('{\"result\": ' + '[' * 900 + ']' * 900 + '}', flush=True)", "fail", "result is [[[["),
    ],
)
def test_what_an_adapter_does(tmp_path: Path, body: str, status: str, words: str) -> None:
    limit = 0.5 if "0.5" in words else 20.0
    with Adapter(program(tmp_path, body), time_limit=limit) as adapter:
        outcome = adapter.run(ONE)
    assert (outcome.status, words in outcome.detail) == (status, True), outcome
    assert len(outcome.detail) < 600


def test_an_adapter_that_does_not_read_is_stopped_though_the_pipe_is_full(tmp_path: Path) -> None:
    """A request may be longer than the pipe takes (64 KiB on Linux): writing it has the time limit too."""
    case = replace(ONE, request={**ONE.request, "helo": "x" * 1_000_000})
    path = tmp_path / "deaf.py"
    path.write_text("import time\ntime.sleep(60)\n")
    with Adapter([sys.executable, str(path)], time_limit=0.5) as adapter:
        outcome = adapter.run(case)
    assert (outcome.status, outcome.detail) == ("error", "the adapter did not read the request within 0.5 s")
    path.write_text("import os\nos.close(0)\n")
    with Adapter([sys.executable, str(path)]) as adapter:
        assert "the adapter ended with status 0" in adapter.run(case).detail


def test_an_adapter_may_reply_before_it_has_read_all(tmp_path: Path) -> None:
    case = replace(ONE, request={**ONE.request, "helo": "x" * 1_000_000})
    path = tmp_path / "eager.py"
    path.write_text(
        "import sys\n"
        "while sys.stdin.buffer.read(1):\n"
        '    print(\'{"result": "pass", "more": "\' + \'y\' * 1_000_000 + \'"}\', flush=True)\n'
        "    sys.stdin.buffer.readline()\n"
    )
    with Adapter([sys.executable, str(path)]) as adapter:
        assert [adapter.run(case).status for _ in range(2)] == ["pass", "pass"]


def test_an_adapter_that_died_is_started_again_and_one_that_always_dies_is_not(tmp_path: Path) -> None:
    once = tmp_path / "once"
    first = f"open({str(once)!r}, 'w').close(), os._exit(3)"
    body = f'os.path.exists({str(once)!r}) or ({first}); print(\'{{"result": "pass"}}\', flush=True)'
    with Adapter(program(tmp_path, body)) as adapter:
        assert [adapter.run(ONE).status for _ in range(3)] == ["error", "pass", "pass"]
        assert adapter.starts == 2
    with Adapter(["/nonexistent/adapter"]) as adapter:
        details = [adapter.run(ONE).detail for _ in range(MAX_STARTS + 1)]
        assert "cannot be started" in details[0]
        assert details[-1] == f"not asked: the adapter failed {MAX_STARTS} times"


@pytest.mark.parametrize(
    "command",
    ["cat | ({left}) > {place}", "({left}) > {place} & while [ ! -e {begun} ]; do sleep 0.01; done; exit 3"],
)
def test_what_an_adapter_started_ends_with_it(tmp_path: Path, command: str) -> None:
    """The programs of a pipe, and those in the background: none outlives the run, whatever became of the first."""
    place, begun = tmp_path / "fifo", tmp_path / "begun"
    os.mkfifo(place)
    reader = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    words = command.format(left=f"touch {begun}; exec sleep 600", place=place, begun=begun)
    try:
        with Adapter(["sh", "-c", words], time_limit=1.0) as adapter:
            assert adapter.run(ONE).status == "error"
        assert begun.exists()
        assert select.select([reader], [], [], 10)[0], "somebody has it open still"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_the_request_and_its_dns_server(tmp_path: Path) -> None:
    """What is sent is what the page says, and the server answers from the zone of the case, wildcards included."""
    case = next(case for case in cases("spf") if case.id == "spf/3.5-wildcard/01")
    body = """
    import dns.message, dns.query
    request = json.loads(line)
    query = dns.message.make_query('a.b.example.org', 'TXT')
    answer = dns.query.udp(query, request['dns']['address'], port=request['dns']['port'], timeout=10)
    texts = [text.to_text() for rrset in answer.answer for text in rrset]
    names = 'dns failures helo id identity ip mail_from now protocol receiver zone'
    ok = ' '.join(sorted(request)) == names and texts == ['"v=spf1 -all"']
    print(json.dumps({'result': 'fail' if ok else f'{sorted(request)} {texts}'}), flush=True)
"""
    with Adapter(program(tmp_path, body.strip())) as adapter:
        assert adapter.run(case).status is Status.PASS
        # A query that is no DNS message stops nobody.
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"\0" * 11, (adapter._server.address, adapter._server.port))
        assert adapter.run(case).status is Status.PASS


def test_only_what_is_replied_is_compared_but_strictly_all_of_it() -> None:
    assert judged(ONE, {"result": "pass"}).status is Status.PASS
    assert judged(ONE, {"result": "pass"}, strict=True).detail == "reason is missing; mechanism is missing"
    assert judged(ONE, {"result": "pass", "reason": "x"}).status is Status.FAIL


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("Authentication-Results: mx.example.net; none\r\n", ""),
        ("authentication-results: mx.example.net (x);\r\n\tnone", ""),
        ("Authentication-Results: mx.example.net; none\r\nX: y\r\n", "not one Authentication-Results field"),
        ("Authentication-Results: mx.example.net; none\r\n\r\n", "not one Authentication-Results field"),
        ("Received: mx.example.net; none", "not one Authentication-Results field"),
        ("Authentication-Results: mx.example.org; none", "reads as"),
        ("Authentication-Results: mx.example.net; spf=pass", "reads as"),
        ("Authentication-Results: mx.example.net", "cannot be read"),
        ("Authentication-Results: mx.example.net (\u00fc); none", "not ASCII"),
        (None, "not one Authentication-Results field"),
    ],
)
def test_a_written_field_is_read_again(field: str | None, words: str) -> None:
    expect = {"field": {"authserv_id": "mx.example.net", "results": []}}
    outcome = judged(Case("authres", "authres/x/01", "RFC 8601 section 2.2", "x", {}, expect), {"field": field})
    assert (outcome.status is Status.PASS, words in outcome.detail) == (not words, True), outcome


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mailauth.testing.conformance", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def test_the_command_with_our_own_adapter() -> None:
    ours = f"{sys.executable} {EXAMPLES / 'mailauth_adapter.py'}"
    done = run("--adapter", ours, "--protocol", "greylist", "--case", "greylist/2.3-*")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "greylist  23 passed\n"


def test_the_command_names_the_section_of_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    always = " ".join(program(tmp_path, 'print(\'{"result": "pass"}\', flush=True)'))
    arguments = ["--adapter", always, "--case", "spf/4.6.2-qualifiers/0[12]", "--case", "spf/5.1-all/*"]
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        "fail  spf/5.1-all/01  RFC 7208 section 5.1: all matches always.",
        "      result is pass, expected fail",
        "fail  spf/5.1-all/02  RFC 7208 section 5.1: all matches always.",
        "      result is pass, expected fail",
        "fail  spf/5.1-all/03  RFC 7208 section 5.1: all matches always.",
        "      result is pass, expected fail",
        "spf       2 passed, 3 failed",
    ]
    assert main([*arguments, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["summary"] == {"spf": {"pass": 2, "fail": 3}}
    assert report["cases"][-1]["section"] == "RFC 7208 section 5.1"
    (tmp_path / "folder").mkdir()
    assert main(["--adapter", f"{sys.executable} {tmp_path}/folder", "--case", "spf/5.1-all/01"]) == 2
    assert "ended with status 1" in capsys.readouterr().out


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--protocol", "spf"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(cases("spf"))
    assert lines[0].split("  ")[0] == cases("spf")[0].id
    assert main(["--list", "--json", "--case", "dkim/none/01"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["expect"]["signatures"] == []
    assert set(listed["request"]) == {"message", "now", "zone"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--adapter CMD"),
        (["--list", "--case", "nothing/*"], "no case is chosen"),
        (["--protocol", "smtp"], "invalid choice"),
        (["--adapter", "x '"], "--adapter: No closing quotation"),
        (["--adapter", " "], "--adapter CMD"),
        (["--adapter", "/nonexistent/adapter x"], "there is no program '/nonexistent/adapter'"),
        (["--time-limit", "0"], "not a number of seconds"),
        (["--time-limit", "nan"], "not a number of seconds"),
        (["--time-limit", "x"], "not a number of seconds"),
    ],
)
def test_mistakes_of_the_caller(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_a_reader_that_goes_is_no_fault() -> None:
    """As in ``--list | head -1``: no traceback."""
    words = [sys.executable, "-m", "mailauth.testing.conformance", "--list"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_the_adapter_for_pyspf() -> None:
    command = f"{sys.executable} -W ignore {EXAMPLES / 'pyspf_adapter.py'}"
    done = run("--adapter", command, "--case", "spf/5.2-table/*", "--case", "dkim/none/*")
    assert done.returncode == 0, done.stdout
    assert "spf       12 passed" in done.stdout
    assert "dkim      1 declined" in done.stdout


def test_the_adapter_for_dkimpy() -> None:
    command = f"{sys.executable} -W ignore {EXAMPLES / 'dkimpy_adapter.py'}"
    chosen = ["dkim/none/*", "dkim/fields/*", "dkim/ed25519/01", "arc/none/*", "arc/pass/0[123]", "spf/5.2-table/01"]
    done = run("--adapter", command, *(word for each in chosen for word in ("--case", each)))
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines() == [
        "spf       1 declined",
        "dkim      12 passed",
        "arc       6 passed",
    ]


@pytest.mark.server
def test_the_adapter_for_perl() -> None:
    perl = need("perl", "perl")
    modules = ["-MMail::DKIM", "-MMail::SPF", "-MJSON::PP"]
    if subprocess.run([perl, *modules, "-e", "1"], capture_output=True, env=dict(os.environ)).returncode:
        missing("Mail::DKIM or Mail::SPF is not installed (Debian: apt-get install libmail-dkim-perl libmail-spf-perl)")
    chosen = ["spf/5.2-table/*", "dkim/none/*", "dkim/fields/*", "dkim/ed25519/01", "arc/none/*", "arc/pass/0[123]"]
    done = run(
        "--adapter", f"{perl} {EXAMPLES / 'perl_adapter.pl'}", *(word for each in chosen for word in ("--case", each))
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines() == [
        "spf       12 passed",
        "dkim      11 passed, 1 declined",
        "arc       6 passed",
    ]
