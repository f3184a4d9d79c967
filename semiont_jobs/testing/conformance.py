"""What every store must do, as one class of tests: subclass it, give the hooks, run pytest.

It must not know any store. The rows are those of the conformance page of the documentation::

    class TestMine(StoreConformance):
        def make_queue(self, **settings): ...
        def reopen(self): ...
        def kill_holder(self, claim): ...
        def plant_bad_entry(self, data): ...
"""

from __future__ import annotations

from semiont_jobs.testing.claiming import Claiming
from semiont_jobs.testing.coming_back import ComingBack
from semiont_jobs.testing.crowding import Crowding
from semiont_jobs.testing.ending import Ending
from semiont_jobs.testing.following import Following
from semiont_jobs.testing.keeping import Keeping
from semiont_jobs.testing.listing import Listing
from semiont_jobs.testing.looping import Looping
from semiont_jobs.testing.putting_back import PuttingBack
from semiont_jobs.testing.reporting import Reporting
from semiont_jobs.testing.setting_aside import SettingAside
from semiont_jobs.testing.stopping import Stopping
from semiont_jobs.testing.updating import Updating


class StoreConformance(
    Keeping,
    Listing,
    Claiming,
    Looping,
    PuttingBack,
    Ending,
    Reporting,
    Stopping,
    ComingBack,
    Updating,
    SettingAside,
    Following,
):
    """Rows 1 to 19, for any store. The hooks are those of `StoreHooks`."""


class ProcessConformance(StoreConformance, Crowding):
    """Rows 1 to 19, also with real processes, for a store that several processes may open."""
