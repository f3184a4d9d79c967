from django.contrib import admin
from django.urls import path
from reports import views

urlpatterns = [
    path("", views.index, name="index"),
    path("reports/", views.create, name="create"),
    path("reports/<str:result_id>/", views.progress, name="progress"),
    path("admin/", admin.site.urls),
]
