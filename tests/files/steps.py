"""The steps that a queue's disk made, of which some force what was written."""

from __future__ import annotations

import json

from files.places import Actors, Place, Unattended, claimed, job

FORCING = ("fsync", "fsync_folder", "syncfs")


def steps(queue: Unattended) -> list[str]:
    """What changed the disk or forced it, in order."""
    shown = ("create", "write", "link", "rename", "unlink", *FORCING)
    return [str(call) for call in queue.disk.calls if call.verb in shown]


def plant_tie(actor: Actors, place: Place) -> None:
    """Two copies of one revision, as only a foreign program makes them."""
    maker = actor()
    maker.create_job(job())
    whole = (place.jobs / "pending" / "j.json").read_bytes()
    claimed(maker)
    maker.disk.bury()
    running = place.document("running")
    running["metadata"]["revision"] = 0
    place.put("running", json.dumps(running))
    place.put("pending", whole)
