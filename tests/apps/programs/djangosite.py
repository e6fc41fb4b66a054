"""A Django site in one file, which serves wsgi.py's app's paths; run as manage.py is."""
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from wsgi import BIG

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DATA_UPLOAD_MAX_MEMORY_SIZE=None)

binary = "application/octet-stream"
urlpatterns = [
    path("", lambda request: HttpResponse(f"hello {request.META['REMOTE_ADDR']}")),
    path("big", lambda request: HttpResponse(BIG, binary)),
    path("stream", lambda request: StreamingHttpResponse(
        (BIG[start:start + 50_000] for start in range(0, len(BIG), 50_000)), binary)),
]


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, binary)


urlpatterns.append(path("echo", echo))
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
