from django.http import Http404, JsonResponse
from django.shortcuts import render
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.views.decorators.http import require_GET, require_POST

from reports.tasks import yearly_report


@require_GET
def index(request):
    return render(request, "index.html")


@require_POST
def create(request):
    """Enqueue the report and answer at once; a worker makes it."""
    year = request.POST.get("year", "")
    if not year.isdecimal():
        return JsonResponse({"error": "a year is needed"}, status=400)
    return JsonResponse({"id": yearly_report.enqueue(int(year)).id}, status=202)


@require_GET
def progress(_request, result_id):
    """Return the state of a report; the page asks for it twice a second."""
    try:
        result = yearly_report.get_result(result_id)
    except TaskResultDoesNotExist:
        raise Http404("no such report") from None
    answer = {"status": str(result.status)}
    if result.status == TaskResultStatus.RUNNING:
        answer["progress"] = getattr(result.job, "progress", None)
    elif result.status == TaskResultStatus.SUCCESSFUL:
        answer["report"] = result.return_value
    elif result.status == TaskResultStatus.FAILED:
        answer["error"] = result.errors[-1].exception_class_path
    return JsonResponse(answer)
