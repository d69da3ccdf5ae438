# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A file server with Django, in one file: create_app(FILE_OF_USERS, FOLDER). docs/wsgi.md explains it."""

import asyncio
import logging
import os
import shutil

import django
from asgiref.sync import sync_to_async
from basic_auth import Users
from beneath import Folder
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path as url

import replace.wsgi


def files(request, path):
    served = settings.SERVED
    try:
        if request.method == "PUT":
            with served.open(path, "wb") as file:
                shutil.copyfileobj(request, file)
            return HttpResponse(status=204)
        return FileResponse(served.open(path))
    except IsADirectoryError:
        return StreamingHttpResponse(os.fsencode(name) + b"\n" for name in served.listdir(path))
    except (OSError, ValueError) as error:
        return HttpResponse(status=403 if isinstance(error, PermissionError) else 404)


def upload(request):
    """Say who owns the temporary file of an upload."""
    file = request.FILES["file"]
    return HttpResponse(f"{os.fstat(file.fileno()).st_uid} {os.path.exists(file.temporary_file_path())}")


def database(request):
    """Say how many tables the database has, after the client has made one."""
    with connection.cursor() as cursor:
        cursor.execute("create table if not exists rows (number integer)")
        cursor.execute("select count(*) from sqlite_master")
        return HttpResponse(str(cursor.fetchone()[0]))


async def asynchronous(request):
    """Say who runs the view, and a function of it that needs a thread."""
    await asyncio.sleep(0)
    return HttpResponse(f"{replace.getfsuid()} {await sync_to_async(replace.getfsuid)()}")


def create_app(users, folder, **options):
    logging.basicConfig()
    users = Users(users)
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder, "shared", "db"), **options}
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": database},
        FILE_UPLOAD_HANDLERS=["django.core.files.uploadhandler.TemporaryFileUploadHandler"],
        LOGGING_CONFIG=None,
        ROOT_URLCONF=__name__,
        SERVED=Folder(folder),
    )
    django.setup()
    app = replace.wsgi.AsClient(get_wsgi_application(), users.identify)
    replace.preload("django.db.backends.sqlite3.base", settings.ROOT_URLCONF)  # or the first request imports them
    replace.protect_os()
    return app


def create_app_that_keeps_connections(users, folder):
    return create_app(users, folder, CONN_MAX_AGE=600)


urlpatterns = [
    url("_upload", upload),
    url("_database", database),
    url("_async", asynchronous),
    url("<path:path>", files),
]
