# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A preload module for Dask's workers: no thread of the worker can start while its starter acts as a user.

Dask imports it before the worker connects to the scheduler. If the import fails, the worker does not start.
"""

import replace

replace.protect_os()
