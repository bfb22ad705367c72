"""Prefork servers and workers with the journal: gunicorn and Celery, the real ones."""

from __future__ import annotations

import textwrap
from collections import Counter

import pytest


def each_once(receiver) -> Counter[str]:
    """How many events of each name came, by identity: what was on its way when a worker died may come again."""
    found: dict[str, str] = {}
    for one in receiver.records("logs"):
        uid = next(pair.value.string_value for pair in one.attributes if pair.key == "log.record.uid")
        found[uid] = one.event_name
    return Counter(found.values())


def test_prefork_workers_of_gunicorn_are_taken_over_when_one_is_killed(run_journaled, over_http, tmp_path):
    """A worker that dies amid a request by -9: its flow is closed by the workers that live; nothing of the others is lost."""
    (tmp_path / "app.py").write_text(
        textwrap.dedent(
            """
            import os
            import leadtrace as lt
            lt.configure()
            def app(environ, start_response):
                path = environ["PATH_INFO"]
                with lt.flow("Request", lead_id=path.strip("/")):
                    lt.emit("lead.received")
                    if path == "/die":
                        os.kill(os.getpid(), 9)
                start_response("200 OK", [])
                return [str(os.getpid()).encode()]
            """
        )
    )
    server = run_journaled(
        f"""
        import sys
        sys.argv = ["gunicorn", "--chdir", {str(tmp_path)!r}, "--workers", "2", "--preload", "--bind", "127.0.0.1:0", "app:app"]
        from gunicorn.app.wsgiapp import run
        run()
        """,
        wait=None,
        endpoint=over_http.address,
    )
    url = ""
    while "Listening at" not in url:
        url = server.stderr.readline()
    url = url.split("Listening at: ")[1].split(" ")[0]
    import http.client
    import urllib.request

    for number in range(6):
        urllib.request.urlopen(f"{url}/lead_{number}", timeout=20).read()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        urllib.request.urlopen(f"{url}/die", timeout=20).read()
    for number in range(6, 9):
        urllib.request.urlopen(f"{url}/lead_{number}", timeout=20).read()
    over_http.wait(lambda: "flow.interrupted" in over_http.names("logs"), 20)
    server.terminate()
    server.communicate(timeout=30)
    over_http.wait(lambda: each_once(over_http)["flow.completed"] == 9, 20)
    assert each_once(over_http)["flow.started"] == 10
    assert each_once(over_http)["flow.interrupted"] == 1


def test_celery_workers_that_are_recycled_lose_nothing(run_journaled, over_http, tmp_path):
    """`max-tasks-per-child` ends them by os._exit, the queue of a batch processor with them; not the journal."""
    (tmp_path / "tasks.py").write_text(
        textwrap.dedent(
            f"""
            import celery, leadtrace as lt
            from celery.signals import worker_process_init
            app = celery.Celery("tasks", broker="filesystem://")
            app.conf.broker_transport_options = {{
                "data_folder_in": {str(tmp_path / "queue")!r}, "data_folder_out": {str(tmp_path / "queue")!r},
                "control_folder": {str(tmp_path / "control")!r},
            }}
            @worker_process_init.connect
            def begin(**_):
                lt.configure()
            @app.task(ignore_result=True)
            @lt.flow("Task", lead_id=lt.arg.lead)
            def work(lead):
                lt.emit("lead.received")
            """
        )
    )
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()
    worker = run_journaled(
        f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        import tasks
        for number in range(12):
            tasks.work.delay(f"lead_{{number}}")
        tasks.app.worker_main([
            "worker", "--pool=prefork", "--concurrency=2", "--max-tasks-per-child=2", "--loglevel=ERROR",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        ])
        """,
        wait=None,
        endpoint=over_http.address,
        C_FORCE_ROOT="1",
    )
    over_http.wait(lambda: each_once(over_http)["flow.completed"] == 12, 90)
    worker.terminate()
    worker.communicate(timeout=30)
    assert each_once(over_http)["flow.started"] == 12
