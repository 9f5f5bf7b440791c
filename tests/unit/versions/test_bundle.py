"""A bundle is its content: the same everywhere, and refused where it is not whole."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import pytest

from workers.errors import Misconfigured
from workers.versions.bundle import FORMAT, BadBundle, Bundle, read_bundle, unpack

WORKSPACE = Path(__file__).parents[3] / "deploy" / "workspaces" / "plan_limits"
FILES = {
    "journeys/b.yaml": "journey: b\n",
    "journeys/a.yaml": "journey: a\n",
    "templates/é.html": "<p>é</p>\n",
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def test_the_version_is_that_of_the_content_whatever_its_order() -> None:
    """A constant: whoever changes how it is made gives every published workspace another version."""
    backwards = Bundle("w", dict(reversed(FILES.items())))
    assert Bundle("w", FILES).version == backwards.version == "f9cfc864f75b95d5"
    assert Bundle("w", FILES).pack() == backwards.pack()
    assert Bundle("other", FILES).version == backwards.version


@pytest.mark.parametrize(
    ("path", "content"),
    [
        pytest.param("journeys/a.yaml", "journey: c\n", id="another text"),
        pytest.param("journeys/c.yaml", "", id="another file"),
    ],
)
def test_other_content_is_another_version(path: str, content: str) -> None:
    """A changed text, or a file more."""
    assert Bundle("w", FILES | {path: content}).version != Bundle("w", FILES).version


def test_line_ends_and_spellings_of_names_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    """As checkouts on Windows and on a Mac have them."""
    here = write(tmp_path / "here", {"journeys/é.yaml": b"a: 1\nb: 2\n"})
    there = write(tmp_path / "there", {"journeys/e\u0301.yaml": b"a: 1\r\nb: 2\r\n"})
    assert read_bundle(here).version == read_bundle(there).version


def test_what_workers_load_is_taken_and_nothing_else(tmp_path: Path) -> None:
    """Templates with whatever they name, YAML elsewhere; no hidden files, no tests, no notes."""
    taken = ["journeys/a.yaml", "workspace.yaml", "templates/a.yaml", "templates/a.mjml", "objects/x.yml"]
    left = [".env", "journeys/.a.yaml.swp", "README.md", "tests/a.yaml", ".git/config.yaml"]
    folder = write(tmp_path / "My Shop", dict.fromkeys((*taken, *left), b"x: 1\n"))
    bundle = read_bundle(folder)
    assert sorted(bundle.files) == sorted(taken)
    assert bundle.name == "my_shop"
    assert read_bundle(folder, "eu").name == "eu"


def test_a_workspace_comes_out_as_it_went_in() -> None:
    """Packed, unpacked and loaded: the ready-made one."""
    bundle = read_bundle(WORKSPACE)
    loaded = unpack(bundle.name, bundle.version, bundle.pack()).load()
    assert loaded.workspace.name == "plan_limits"
    assert len(loaded.workspace.journeys) == 2
    assert loaded.templates.get("limit_banner") is not None


def packed(content: object) -> bytes:
    """A bundle with any content."""
    return FORMAT + zlib.compress(msgspec.json.encode(content))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"", "another format", id="nothing"),
        pytest.param(b"BRM2" + b"x" * 9, "another format", id="of a newer format"),
        pytest.param(Bundle("w", FILES).pack()[:-8], "cut off", id="cut off"),
        pytest.param(FORMAT + b"nonsense", "damaged", id="not compressed"),
        pytest.param(packed({"a": 1}), "not a list of files", id="no list"),
        pytest.param(packed([("../a.yaml", "")]), "outside the workspace", id="a path upwards"),
        pytest.param(packed([("/a.yaml", "")]), "outside the workspace", id="a path from the root"),
        pytest.param(packed([("a\\..\\b.yaml", "")]), "outside the workspace", id="a path of Windows"),
        pytest.param(packed([("a.yaml", "x")]), "the content is", id="another version"),
        pytest.param(FORMAT + zlib.compress(b" " * 40_000_000), "unpacked", id="a bomb"),
    ],
)
def test_a_bad_bundle_is_refused_with_what_is_wrong(data: bytes, told: str) -> None:
    """Before anything of it is written to a disk."""
    with pytest.raises(BadBundle, match=told):
        unpack("w", "0123456789abcdef", data)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: \xe9"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    """With its name."""
    folder = write(tmp_path, {"journeys/a.yaml": content})
    with pytest.raises(Misconfigured, match=r"a\.yaml: not a text in UTF-8"):
        read_bundle(folder)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """And not taken for an empty workspace."""
    with pytest.raises(Misconfigured, match="there is no such folder"):
        read_bundle(tmp_path / "nowhere")
