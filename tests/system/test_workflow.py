# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The hosted workflow is valid, only a person starts it, and it runs README's two commands. Nothing here runs it."""

import re
import shutil
import sys

import pytest
from support.builds import IS_SDIST, ROOT, imported, needs_package, run

WORKFLOW = ROOT / ".github" / "workflows" / "hosted.yml"
pytestmark = pytest.mark.skipif(IS_SDIST, reason="needs a clone: an sdist has no .github/")


@pytest.fixture(scope="module")
def workflow():
    return imported("ruamel.yaml", "ruamel.yaml").YAML(typ="safe").load(WORKFLOW)


def test_workflow_fits_the_schema():
    needs_package("check-jsonschema")
    out = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    assert out.returncode == 0, out.stdout + out.stderr


def test_only_a_person_starts_it_and_it_can_only_read(workflow):
    assert workflow["on"] == "workflow_dispatch"
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "permissions" not in job, name
        assert job["timeout-minutes"] > 0, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}, name
    assert "secrets" not in WORKFLOW.read_text()


def test_actions_are_named_by_their_commits():
    text = WORKFLOW.read_text()
    named = re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$", text, re.M)
    assert len(named) == text.count("uses:")
    assert len(set(named)) == len({action for action, *_ in named}), "one version of each action"


def test_jobs_run_the_commands_of_readme_or_build_the_wheels_of_pyproject(workflow):
    for name, job in workflow["jobs"].items():
        runs = [step.get("run") or step.get("with", {}).get("run", "") for step in job["steps"]]
        if name == "wheels":
            (built,) = [step for step in job["steps"] if step.get("uses", "").startswith("pypa/cibuildwheel@")]
            assert set(built) == {"uses"}, "pyproject.toml has the configuration"
        else:
            assert re.fullmatch(r'(sudo env )?CI= (PATH="\S+" )?\.ci/readme', runs[-1]), name


def test_page_has_a_row_for_each_job(workflow):
    table = (ROOT / "docs" / "platforms.md").read_text().split("## Hosted CI")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.M) == list(workflow["jobs"])


README = "# A title\n\n```python\nimport this\n```\n\n```sh\n{}```\n\n```sh\ntouch third\n```\n"


@pytest.mark.parametrize(
    ("commands", "status", "files"),
    [
        ("touch first\ntouch 'the second'\n", 0, ["first", "the second"]),
        ("touch first && false\ntouch second\n", 1, ["first"]),
        ("touch first\n", 1, []),
        ("touch first\ntouch second\ntouch third\n", 1, []),
    ],
)
def test_readme_script_runs_the_two_commands_of_the_first_block(tmp_path, commands, status, files):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "readme", tmp_path / ".ci")
    (tmp_path / "README.md").write_text(README.format(commands))
    out = run("/bin/sh", tmp_path / ".ci" / "readme", cwd="/")
    assert out.returncode == status, out.stdout + out.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["README.md", *files]
    assert [f"$ {line}" for line in commands.splitlines()[: len(files)]] == out.stdout.splitlines()


@pytest.mark.parametrize("number", [1, 2])
def test_readme_script_runs_one_of_the_commands(tmp_path, number):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "readme", tmp_path / ".ci")
    (tmp_path / "README.md").write_text(README.format("touch 1\ntouch 2\n"))
    out = run("/bin/sh", tmp_path / ".ci" / "readme", number, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name in "12"] == [str(number)]
