"""Who may import whom: `python docs/architecture.py` writes the table and the picture of docs/architecture.md.

The test tests/test_architecture.py holds the code against `ROOMS`.
"""

import ast
from pathlib import Path

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "src" / "implicit_manifolds"
ROOMS: dict[str, tuple[int, str]] = {
    "_types": (0, "array types, tolerances"),
    "errors": (0, "what is raised, each in a sentence that says what to do"),
    "findings": (0, "a number, its threshold, and a sentence for where it is beyond"),
    "_pytree": (0, "dataclasses as pytrees whose classes are told apart"),
    "_random": (1, "randomness on the host"),
    "_loops": (1, "while loops safe under vmap, jitted chunks, one function over many points"),
    "_devices": (0, "arrays on a mesh of devices"),
    "_compilation": (1, "JAX's cache of compiled programs, for the command"),
    "_files": (1, "files that appear whole or not at all, and a lock"),
    "box": (1, "boxes"),
    "choices": (1, "settings, checked where they are made"),
    "points": (2, "checking the user's points"),
    "coordinates": (2, "angles, places and rotations, and the points of R^n that they are"),
    "dialects": (3, "the dialect of a table of text, and its cells"),
    "reading": (4, "files of the usual kinds, by polars"),
    "advice": (5, "what is odd about a table's columns"),
    "tables": (4, "tables too large to hold"),
    "scaling": (2, "standardisation"),
    "pieces": (3, "standardisation by parts"),
    "manifold": (
        2,
        "what {F = 0} is at a point, inside jit: tangents, multipliers, projections, geodesics, arithmetic, "
        "known examples",
    ),
    "volumes": (3, "M as a whole: the value, charts, lines, pools, importance sampling, shortest paths"),
    "networks": (3, "Flax NNX networks, spline flows, spectral normalisation as a pure function"),
    "certificate": (4, "topology: meshes, components, persistent homology"),
    "mcmc": (4, "samplers as init and step, runs of many chains, warm-up, jumps, summaries"),
    "training": (5, "the one loop, objectives, replay buffer, checkpoints"),
    "ebim": (6, "the model as a value and its verbs; one file for each way to train it; disk"),
    "baselines": (7, "autoencoders, flows and ambient models with the verbs of an EBIM, one method a file"),
    "datasets": (7, "data, known laws"),
    "targets": (5, "a public set of laws on level sets, and what scores draws of them"),
    "metrics": (7, "transport, Fréchet, MMD, detection"),
    "plot": (7, "figures of a model"),
    "diagnosis": (7, "whether a model can be believed"),
    "report": (8, "one page about a fitted model"),
    "functional": (7, "pure functions of a model and one point, in one place"),
    "cli": (9, "the command"),
}
"""Each room's floor, and what it is; a room may import from lower floors alone."""


def modules() -> dict[str, set[str]]:
    """Each module of the package, and the modules that it imports from."""
    names = {_name(path): path for path in PACKAGE.rglob("*.py")}
    return {name: _imports(name, path, set(names)) for name, path in names.items()}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, known: set[str]) -> set[str]:
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] if package else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            inner = {f"{source}.{alias.name}".strip(".") for alias in node.names} & known
            found |= inner or ({source} & known)
    return found - {name, ""}


def room_of(module: str) -> str:
    """The room that a module belongs to."""
    return module.split(".")[0]


def arrows() -> dict[str, set[str]]:
    """Each room, and the rooms that it imports from; the package's face is no room."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module, sources in modules().items():
        if module:
            found[room_of(module)] |= {room_of(source) for source in sources} - {room_of(module)}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of modules that import each other, or nothing."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node not in done:
            for source in sorted(graph[node]):
                if found := walk(source, [*path, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def lines_of(room: str) -> tuple[int, int]:
    """Files and lines of a room."""
    place = PACKAGE / room
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return len(files), sum(len(file.read_text().splitlines()) for file in files)


def table() -> str:
    """Markdown: each room, what it is, how large it is, and what it imports from."""
    rows = ["| floor | room | what it is | files, lines | imports from |", "|---|---|---|---|---|"]
    imports = arrows()
    for room, (floor, what) in ROOMS.items():
        sources = ", ".join(source for source in ROOMS if source in imports[room] and not source.startswith("_"))
        rows.append("| {} | `{}` | {} | {}, {} | {} |".format(floor, room, what, *lines_of(room), sources))
    return "\n".join(rows)


def picture():
    """The rooms floor above floor, an arrow from each to what it imports from; helpers of all are left out."""
    from matplotlib.figure import Figure

    shown = {room: floor for room, (floor, _) in ROOMS.items() if floor > 1}
    figure = Figure(figsize=(11, 6.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    floors = {floor: [room for room in shown if shown[room] == floor] for floor in sorted(set(shown.values()))}
    places = {
        room: ((index + 1) / (len(rooms) + 1), floor)
        for floor, rooms in floors.items()
        for index, room in enumerate(rooms)
    }
    for room, sources in arrows().items():
        for source in sources & set(shown):
            if room in shown:
                style = {"arrowstyle": "-|>", "color": "0.6", "shrinkA": 18, "shrinkB": 24, "linewidth": 0.9}
                axes.annotate("", places[source], places[room], arrowprops=style)
    for room, (x, y) in places.items():
        files, lines = lines_of(room)
        box = {"boxstyle": "round,pad=0.45", "facecolor": "#e8eef7", "edgecolor": "#45638c"}
        axes.text(
            x,
            y,
            f"{room}\n{files} file{'s' * (files > 1)}, {lines:,} lines",
            ha="center",
            va="center",
            fontsize=9,
            bbox=box,
        )
    axes.set(xlim=(0, 1), ylim=(min(floors) - 0.5, max(floors) + 0.5))
    return figure


def main() -> None:
    """Write both."""
    page = DOCS / "architecture.md"
    before, rest = page.read_text().split("<!-- rooms:")
    mark, rest = rest.split("-->", 1)
    after = rest.split("<!-- end of rooms -->")[1]
    page.write_text(f"{before}<!-- rooms:{mark}-->\n{table()}\n<!-- end of rooms -->{after}")
    picture().savefig(DOCS / "images" / "architecture.png")


if __name__ == "__main__":
    main()
