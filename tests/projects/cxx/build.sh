# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -o program program.cpp $(pkg-config --cflags --libs libreplace) -pthread
./program
