"""How much a simulator is told of its robot, in the frames, the tables and the page."""

from pathlib import Path

import pytest
from logged_experiments import Logged, simulator, write_experiment

from mosim_analysis import Store, page, read_results
from mosim_analysis.differences import differences
from mosim_analysis.names import with_knowledge


def told(name: str, level: str, error: float) -> Logged:
    run = simulator(name, name, 0, error)
    run.tags = {**run.tags, "model.knowledge": level}
    return run


def test_frames_differences_and_the_page_say_the_level_of_each_run(database: Path) -> None:
    runs = [told("one", "tree", 1e-9), told("two", "geometry", 1e-6), simulator("three", "three", 0, 1e-3)]
    results = read_results(Store(write_experiment(database, runs)), "mosim")
    levels = results.runs.set_index("name")["knowledge"].to_dict()
    assert levels == {"one": "tree", "two": "geometry", "three": ""}
    table = differences(results.parameters, results.runs["group"])
    assert table.loc["model.knowledge"].to_dict() == {"one": "tree", "two": "geometry", "three": "not set"}
    html = page(results, experiment="mosim", source="a test")
    assert '<th scope="col">group</th><th scope="col">knowledge</th>' in html
    assert html.count("<td>tree</td>") == html.count("<td>geometry</td>") == 1


def test_runs_of_which_none_says_it_have_no_such_column(database: Path) -> None:
    results = read_results(Store(write_experiment(database, [simulator("a", "a", 0, 1e-6)])), "mosim")
    assert '<th scope="col">knowledge</th>' not in page(results, experiment="mosim", source="a test")


@pytest.mark.parametrize(
    ("label", "knowledge", "shown"),
    [
        ("mosim", "tree", "mosim (tree)"),
        ("wide", "arrays", "wide (arrays)"),
        ("tree, 3 episodes", "tree", "tree, 3 episodes"),
        ("persistence", "", "persistence"),
    ],
)
def test_a_simulator_s_name_says_its_level_once(label: str, knowledge: str, shown: str) -> None:
    assert with_knowledge(label, knowledge) == shown
