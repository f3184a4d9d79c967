"""Thumbnails of uploaded pictures: a worker makes them, and the page shows its progress.

Serve it with ``flask --app thumbnails run`` or gunicorn. Beside it run ``flask --app thumbnails
jobs worker``. You may kill the worker at any time: another one, or the same one started again,
finishes the job.
"""

import json
import uuid
from pathlib import Path

from attrs import frozen
from flask import Flask, Response, abort, current_app, render_template, request, url_for
from PIL import Image, UnidentifiedImageError

from semiont_jobs import Claim, InvalidJobId, JobTimeout, PermanentError
from semiont_jobs.flask import SemiontJobs

SIZES = (64, 128, 256, 512, 1024)
LONGEST_STREAM = 30.0
"""Seconds after which the page asks again, so a browser that left occupies a thread no longer."""

jobs = SemiontJobs()


@frozen
class Picture:
    folder: str
    """The folder that contains the picture, and receives its thumbnails."""


@jobs.handler("thumbnails", timeout=300)
def make_thumbnails(params: Picture, claim: Claim) -> list[str]:
    folder = Path(current_app.config["PICTURES"], params.folder)
    names = []
    for done, size in enumerate(SIZES, start=1):
        name = f"{size}.jpeg"
        # The job may run again from the start: a killed worker's thumbnails exist already.
        if not (folder / name).exists():
            try:
                with Image.open(folder / "original") as picture:
                    small = picture.convert("RGB")
            except UnidentifiedImageError as error:
                raise PermanentError("this is no picture") from error  # a retry would not help
            small.thumbnail((size, size))
            small.save(folder / f".{name}", "JPEG")
            (folder / f".{name}").rename(folder / name)  # complete, or absent
        names.append(name)
        claim.report({"done": done, "of": len(SIZES)})
    return names


def create_app(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        SEMIONT_JOBS_DIR="jobs", PICTURES=str(Path(app.instance_path, "pictures"))
    )
    app.config.from_mapping(config)
    jobs.init_app(app)

    @app.get("/")
    def index():
        return render_template("index.html")

    @app.post("/pictures")
    def upload():
        picture = request.files.get("picture")
        if picture is None:
            abort(400, "a picture is needed")
        folder = Path(app.config["PICTURES"], uuid.uuid4().hex)
        folder.mkdir(parents=True)
        picture.save(folder / "original")
        job = jobs.enqueue(Picture(folder.name))
        return {"id": job.metadata.id, "events": url_for("events", job_id=job.metadata.id)}, 202

    @app.get("/pictures/<job_id>/events")
    def events(job_id: str):
        """Send the job's state whenever it has changed, as server-sent events."""
        queue = jobs.queue
        try:
            found = queue.get_job(job_id)
        except InvalidJobId:
            found = None
        if found is None:
            abort(404)

        def stream():
            try:
                for job in queue.follow(job_id, timeout=LONGEST_STREAM):
                    yield f"data: {json.dumps(state_of(job))}\n\n"
            except JobTimeout:
                return  # the browser connects again

        return Response(stream(), mimetype="text/event-stream")

    @app.get("/pictures/<folder>/<int:size>.jpeg")
    def thumbnail(folder: str, size: int):
        path = Path(app.config["PICTURES"], folder, f"{size}.jpeg")
        if not folder.isalnum() or not path.is_file():
            abort(404)
        return Response(path.read_bytes(), mimetype="image/jpeg")

    return app


def state_of(job) -> dict[str, object]:
    """Return what the page shows of a job."""
    state = {"status": job.status, "folder": job.params.folder}
    if job.status == "running":
        state["progress"] = job.progress
    elif job.status == "complete":
        state["thumbnails"] = job.result["value"]
    elif job.status == "failed":
        state["error"] = job.error
    return state
