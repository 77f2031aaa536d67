"""The taxonomy example: a sound sample in NCBI's format, and notebooks that write the same two trees."""

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/taxonomy"
BIRDS, MAMMALS = "8782", "40674"
OUR_OWN = 900_000_000


def rows(path: Path) -> list[list[str]]:
    lines = path.read_text().splitlines(keepends=True)
    assert all(line.endswith("\t|\n") for line in lines)
    return [line.removesuffix("\t|\n").split("\t|\t") for line in lines]


NODES = {row[0]: row for row in rows(EXAMPLE / "nodes.dmp")}
NAMES = rows(EXAMPLE / "names.dmp")
SCIENTIFIC = {row[0]: row[1] for row in NAMES if row[3] == "scientific name"}


def code(notebook: str) -> str:
    cells = json.loads((EXAMPLE / notebook).read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def run(command: list[str], folder: Path) -> dict[str, bytes]:
    for table in ("nodes.dmp", "names.dmp"):
        shutil.copy(EXAMPLE / table, folder)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return {name: (folder / name).read_bytes() for name in ("ArbolAves.csv", "ArbolMamiferos.csv")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run([sys.executable, "-c", code("arbol.ipynb")], tmp_path_factory.mktemp("python"))


def table(written: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(written[name].decode().splitlines()))


def ancestors(taxon: str) -> list[str]:
    found = [taxon]
    while NODES[found[-1]][1] != found[-1]:
        found.append(NODES[found[-1]][1])
        assert len(found) < 40, f"{taxon} has no end of ancestors"
    return found


def test_every_taxon_hangs_from_the_root_and_has_one_scientific_name():
    assert all(len(row) == 13 for row in NODES.values())
    assert all(ancestors(taxon)[-1] == "1" for taxon in NODES)
    counts = Counter(row[0] for row in NAMES if row[3] == "scientific name")
    assert counts == Counter(dict.fromkeys(NODES, 1))
    assert len(NODES) == len(rows(EXAMPLE / "nodes.dmp")), "an id is there twice"


def test_ids_that_people_know_are_ncbis_and_species_are_never_our_own():
    assert {SCIENTIFIC[taxon] for taxon in (BIRDS, MAMMALS, "9031", "9606", "10090")} == {"Aves", "Mammalia", "Gallus gallus", "Homo sapiens", "Mus musculus"}
    assert not [SCIENTIFIC[taxon] for taxon, row in NODES.items() if row[2] in ("species", "subspecies") and int(taxon) > OUR_OWN]


def test_names_need_no_quotes_in_csv_so_that_both_languages_write_the_same():
    assert not [name for name in SCIENTIFIC.values() if set(name) & set(',;"\n') or not name.isascii()]


@pytest.mark.parametrize(("name", "root"), [("ArbolAves.csv", BIRDS), ("ArbolMamiferos.csv", MAMMALS)])
def test_a_tree_holds_exactly_the_descendants_of_its_root(written: dict[str, bytes], name: str, root: str):
    found = table(written, name)
    assert Counter(row["tax_id"] for row in found) == Counter(taxon for taxon in NODES if root in ancestors(taxon))
    for row in found:
        line = ancestors(row["tax_id"])
        assert row["parent_tax_id"] == NODES[row["tax_id"]][1]
        assert row["scientific_name"] == SCIENTIFIC[row["tax_id"]]
        assert row["lineage"].split(";") == [SCIENTIFIC[taxon] for taxon in reversed(line[: line.index(root) + 1])]
        by_rank = {NODES[taxon][2]: SCIENTIFIC[taxon] for taxon in line}
        for level in ("class", "order", "family", "genus", "species"):
            assert row[level] == by_rank.get(level, "")


def test_parents_come_before_their_children(written: dict[str, bytes]):
    seen = {NODES[BIRDS][1]}
    for row in table(written, "ArbolAves.csv"):
        assert row["parent_tax_id"] in seen
        seen.add(row["tax_id"])


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="there is no R here; the image's test runs this notebook")
def test_r_writes_the_same_bytes(written: dict[str, bytes], tmp_path: Path):
    (tmp_path / "notebook.R").write_text(code("arbol_r.ipynb"))
    assert run(["Rscript", "notebook.R"], tmp_path) == written


@pytest.mark.parametrize(("notebook", "kernel"), [("arbol.ipynb", "python3"), ("arbol_r.ipynb", "ir")])
def test_notebooks_are_committed_without_output_and_name_a_kernel_of_the_image(notebook: str, kernel: str):
    content = json.loads((EXAMPLE / notebook).read_text())
    assert content["metadata"]["kernelspec"]["name"] == kernel
    assert not [cell for cell in content["cells"] if cell.get("outputs")]
