"""Where mistakes in YAML are said to stand."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from mosim.core.configuration import LocatedError, read_yaml, read_yaml_file, read_yaml_model, with_values
from mosim.core.errors import MosimError
from mosim.core.frozen import Frozen
from mosim.experiments.study import Study


class Circle(Frozen):
    kind: Literal["circle"] = "circle"
    radius: float = Field(1.0, gt=0)


class Square(Frozen):
    kind: Literal["square"] = "square"
    side: float = 1.0


class Drawing(Frozen):
    shapes: dict[str, Annotated[Circle | Square, Field(discriminator="kind")]] = Field(default={})
    sizes: tuple[int, ...] = (1,)
    largest: int = 9

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for index, size in enumerate(self.sizes):
            if size > self.largest:
                raise LocatedError(("sizes", index), f"{size} is more than the largest, {self.largest}")
        return self


def drawing(folder: Path, text: str) -> Path:
    path = folder / "drawing.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("largest: 3\nsize: 2\n", "drawing.yaml, line 2: unknown key 'size'; allowed are: largest, shapes, sizes."),
        ("\n\nlargest: no number\n", "drawing.yaml, line 3: key 'largest' is 'no number'; input should be a valid int"),
        ("sizes:\n  - 1\n  - 12\n", "drawing.yaml, line 3: key 'sizes.1': 12 is more than the largest, 9."),
        ("sizes: [1,\n  12]\n", "drawing.yaml, line 2: key 'sizes.1': 12 is more"),
        # The step with which pydantic names the member of a union is in no file.
        (
            "shapes:\n  a: {kind: square}\n  b:\n    kind: circle\n    radius: -1\n",
            "drawing.yaml, line 5: key 'shapes.b.radius' is -1; input should be greater than 0.",
        ),
        (
            "shapes:\n  a: {kind: square}\n  b:\n    kind: circle\n    side: 1\n",
            "drawing.yaml, line 5: unknown key 'shapes.b.side'; allowed are: kind, radius.",
        ),
        ("shapes:\n  a: {}\n", "drawing.yaml, line 2: key 'shapes.a' is {}; unable to extract tag"),
        # What comes by `<<` stands where it was written.
        (
            "shapes:\n  a: &a\n    radius: -1\n    kind: circle\n  b:\n    <<: *a\n",
            "drawing.yaml, line 3: key 'shapes.b.radius' is -1",
        ),
        ("largest: 1\nlargest: 2\n", "drawing.yaml, line 2: key 'largest' was already given in line 1."),
        (
            "shapes: {a: {kind: circle, kind: square}}\n",
            "drawing.yaml, line 1: key 'kind' was already given in line 1.",
        ),
        ("shapes:\n  a: &a {kind: circle}\n  b: *a\n  a: {}\n", "line 4: key 'a' was already given in line 2."),
        ("sizes: &all [*all]\n", "drawing.yaml, line 1: key 'sizes.0"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(MosimError) as error:
        read_yaml_model(drawing(tmp_path, text), Drawing)
    assert sentence in str(error.value)


def test_of_what_is_missing_the_part_around_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        MosimError, match=r"drawing\.yaml: key 'name' is missing; .*, line 3: key 'systems\.1\.task' is"
    ):
        read_yaml_model(drawing(tmp_path, "systems:\n  - reacher-easy\n  - seeds: [0]\n"), Study)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_the_line_of_any_key_is_found_in_any_file(
    tmp_path_factory: pytest.TempPathFactory, widths: list[int], data: st.DataObject
) -> None:
    lines = [
        f"key{index}:" + "".join(f"\n  - {number}" for number in range(width)) for index, width in enumerate(widths)
    ]
    file = read_yaml_file(drawing(tmp_path_factory.mktemp("lines"), "\n".join(lines)))
    index = data.draw(st.integers(0, len(widths) - 1))
    item = data.draw(st.integers(0, widths[index] - 1))
    expected = sum(width + 1 for width in widths[:index]) + item + 2
    assert file.place((f"key{index}", item)) == f"{file.path}, line {expected}"


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert read_yaml(drawing(tmp_path, "# Nothing.\n")) == {}
    assert read_yaml_model(drawing(tmp_path, "---\n"), Drawing) == Drawing()


def test_a_value_that_is_set_is_blamed_where_it_was_given() -> None:
    places = {"sizes": "mine.yaml, line 7", "largest": "mine.yaml, line 8"}
    with pytest.raises(MosimError, match=r"^mine\.yaml, line 7: key 'sizes\.0' is 'x'"):
        with_values(Drawing(), {"largest": 3, "sizes": ["x"]}, "mine.yaml", places)
    with pytest.raises(MosimError, match=r"^mine\.yaml, line 7: key 'sizes\.0': 4 is more than the largest, 3"):
        with_values(Drawing(), {"largest": 3, "sizes": [4]}, "mine.yaml", places)
    with pytest.raises(MosimError, match=r"^mine\.yaml, line 9: there is no 'length'"):
        with_values(Drawing(), {"length": 3}, "mine.yaml", {"length": "mine.yaml, line 9"})
