"""A task that takes too long for a request: the sales of a year, month by month."""

import calendar
import random
import time

from django.tasks import task

SLOWLY = 0.2
"""Seconds for each month, in place of a query to a real database."""


@task(takes_context=True)
def yearly_report(context, year):
    """Return the sales by month. If a worker is killed, the next one continues at its month."""
    if not 1900 <= year <= 2100:
        raise ValueError(f"there are no sales of {year}")
    job = context.task_result.job
    sales = dict(job.metadata.unit_cursors.get("sales", {}))
    for month in range(len(sales) + 1, 13):
        context.claim.raise_if_cancelled()
        time.sleep(SLOWLY)
        sales[calendar.month_name[month]] = random.Random(f"{year}-{month}").randint(100, 999)
        context.claim.report({"done": month, "of": 12})
        context.claim.checkpoint(cursors={"sales": sales})
    return {"year": year, "sales": sales, "total": sum(sales.values())}
