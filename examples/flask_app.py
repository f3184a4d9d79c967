"""A web application that answers at once; a worker runs the job.

With Flask installed, ``flask --app flask_app run`` serves it. If you run the file as a script, it
makes its own requests, without a server.
"""

import os
import tempfile

from semiont_jobs import InvalidJobId, JobQueue, JobWorker, RunningJob


class Reporter(JobWorker):
    job_types = ("report",)

    def execute_job(self, job: RunningJob) -> object:
        self.update_job_progress({"percentage": 50})
        return {"pages": len(job.params["title"])}


def create_app(data_dir: str | None = None):
    from flask import Flask, abort, jsonify, request

    app = Flask(__name__)
    # One queue per process. A fork (gunicorn --preload) is safe: the child opens the queue again.
    queue = app.extensions["jobs"] = JobQueue(data_dir or os.environ["SEMIONT_JOBS_DIR"])

    @app.post("/reports")
    def create():
        job = queue.enqueue({"title": request.json["title"]}, type="report")
        return jsonify(id=job.metadata.id), 202

    @app.get("/reports/<job_id>")
    def show(job_id: str):
        try:
            job = queue.get_job(job_id)
        except InvalidJobId:
            job = None
        if job is None:
            abort(404)
        answer = {"status": job.status}
        if job.status == "running":
            answer["progress"] = job.progress
        elif job.status == "complete":
            answer["result"] = job.result
        elif job.status == "failed":
            answer["error"] = job.error
        return jsonify(answer)

    return app


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        app = create_app(data_dir)
        queue = app.extensions["jobs"]
        client = app.test_client()

        accepted = client.post("/reports", json={"title": "Q3"})
        job_id = accepted.json["id"]
        print(accepted.status_code, client.get(f"/reports/{job_id}").json)

        # Usually the worker is a process of its own on the same directory: `Reporter(queue).run()`.
        with Reporter(queue):
            queue.wait_for(job_id, timeout=30)
        print(client.get(f"/reports/{job_id}").json)
        print(client.get("/reports/unknown").status_code)
        queue.close()


if __name__ == "__main__":
    main()

# Output:
# 202 {'status': 'pending'}
# {'result': {'pages': 2}, 'status': 'complete'}
# 404
