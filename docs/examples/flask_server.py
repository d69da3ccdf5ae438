# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A file server with Flask. Each request has the rights of its user.

    python3 docs/examples/flask_server.py --port 8080 flask-users.txt /srv/flask

GET returns a file, or the names in a folder, one in each line. PUT stores a file. A line of the users file is
`name:password`. The server needs root, Linux 5.6, Flask and cheroot. Instead of cheroot, gunicorn can serve
create_app(). Stop it with SIGINT or SIGTERM. ../wsgi.md explains the design.
"""

import os
import shutil

import flask
from basic_auth import Users
from beneath import Folder

import replace.wsgi


def create_app(users, folder):
    """Return the application, for a server that calls it in threads."""
    users = Users(users)
    served = Folder(folder)
    app = flask.Flask(__name__, static_folder=None)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def read(path):
        try:
            file = served.open(path)
        except IsADirectoryError:
            names = b"".join(os.fsencode(name) + b"\n" for name in served.listdir(path))
            return flask.Response(names, mimetype="text/plain")
        return flask.send_file(file, "application/octet-stream")

    @app.put("/<path:path>")
    def write(path):
        with served.open(path, "wb") as file:
            shutil.copyfileobj(flask.request.stream, file)
        return "", 204

    @app.errorhandler(OSError)
    @app.errorhandler(ValueError)  # the name contains a null byte
    def refuse(error):
        return "", 403 if isinstance(error, PermissionError) else 404

    app.wsgi_app = replace.wsgi.AsClient(app.wsgi_app, users.identify)
    replace.preload()
    replace.protect_os()
    return app


if __name__ == "__main__":
    import cheroot_server

    cheroot_server.main(create_app)
