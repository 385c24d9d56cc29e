"""Requirements, images, cluster manifests, interface descriptions and MLflow folders: told by name and a look at their text."""

from __future__ import annotations

import re
from itertools import groupby

from bartizan import documents
from bartizan.model.errors import InputError, one_line
from bartizan.workflows.drafting.folder import File, Holdings
from bartizan.workflows.drafting.part import Part, shown, slug

_LOOK = 64 * 1024
_DEPENDENCIES = re.compile(
    r"(?:.*requirements.*\.(?:txt|in)|constraints.*\.txt|pipfile(?:\.lock)?|poetry\.lock|uv\.lock|pdm\.lock|pylock(?:\..+)?\.toml"
    r"|environment\.ya?ml|conda(?:-lock)?\.ya?ml|package(?:-lock)?\.json|yarn\.lock|go\.mod|cargo\.lock)",
    re.IGNORECASE,
)
_PROJECT = re.compile(r"^\s*(?:dependencies|requires|install_requires)\s*=|^\[tool\.poetry\.dependencies\]", re.MULTILINE)
_IMAGE = re.compile(r"(?:dockerfile|containerfile)(?:\..+)?|.+\.dockerfile", re.IGNORECASE)
_OPENAPI = re.compile(r"""^\s*\{?\s*["']?(?:openapi|swagger)["']?\s*:\s*["']?[23]\.""", re.MULTILINE)
_SCHEMES = re.compile(r"""["']?securitySchemes["']?\s*:|["']?securityDefinitions["']?\s*:""")
_TITLE = re.compile(r"""^\s*["']?title["']?\s*:\s*["']?([^"'\n,]{1,120})""", re.MULTILINE)


def installs(name: str) -> bool:
    """Whether a file of this name lists packages to install."""
    return _DEPENDENCIES.fullmatch(name) is not None


def dependencies(holdings: Holdings) -> list[Part]:
    """A part for every file that names packages to install."""
    found = []
    for file in holdings.files:
        project = file.name in ("pyproject.toml", "setup.py", "setup.cfg") and _PROJECT.search(holdings.text(file, _LOOK))
        if project or installs(file.name):
            where = file.parent.rpartition("/")[2]
            name = slug(f"{where} {file.name.rpartition('.')[0] or file.name}", "dependencies")
            found.append(Part(id=name, kind="dependencies", said={"uri": file.path}, names=[file.name]))
    return found


def containers(holdings: Holdings) -> list[Part]:
    """A part for every image recipe."""
    parts = []
    for file in holdings.files:
        if _IMAGE.fullmatch(file.name):
            variant = re.sub(r"(?i)^(?:dockerfile|containerfile)\.?|\.?dockerfile$", "", file.name)
            where = file.parent.rpartition("/")[2]
            parts.append(Part(id=slug(f"{where} {variant} image", "image"), kind="container", said={"uri": file.path}))
    return parts


def clusters(holdings: Holdings) -> list[Part]:
    """A part for every folder with Kubernetes objects: files whose documents have `apiVersion` and `kind` at their top."""
    found = [file for file in holdings.files if file.suffix in (".yaml", ".yml") and _kubernetes(holdings, file)]
    parts = []
    for parent, group in groupby(sorted(found, key=lambda f: (f.parent, f.path)), key=lambda f: f.parent):
        members = list(group)
        uri = members[0].path if len(members) == 1 or not parent else parent
        named = parent.rpartition("/")[2] or "kubernetes"
        part = Part(id=slug(named, "cluster"), kind="cluster", said={"uri": uri}, names=[file.name for file in members])
        part.notes.append(f"Kubernetes objects in {shown(part.names)}")
        parts.append(part)
    return parts


def _kubernetes(holdings: Holdings, file: File) -> bool:
    text = holdings.text(file, _LOOK)
    return bool(re.search(r"^apiVersion:\s*\S", text, re.MULTILINE) and re.search(r"^kind:\s*[A-Z]\w*", text, re.MULTILINE))


def interfaces(holdings: Holdings) -> list[Part]:
    """A part for every OpenAPI document."""
    parts = []
    for file in holdings.files:
        if file.suffix not in (".yaml", ".yml", ".json"):
            continue
        text = holdings.text(file, _LOOK)
        if not _OPENAPI.search(text[:4096]):
            continue
        part = Part(id=slug(file.name.rpartition(".")[0], "api"), kind="endpoint", said={"uri": file.path}, names=[file.name])
        title = _TITLE.search(text)
        if title and one_line(title[1]):
            part.said = {"title": one_line(title[1]), **part.said}
        part.notes.append("an OpenAPI document")
        part.hints["authn"] = "The document describes security schemes." if _SCHEMES.search(text) else "The document describes none."
        parts.append(part)
    return parts


def mlflow(holdings: Holdings) -> list[Part]:
    """A part for every MLflow model folder, and one for each tracking folder."""
    tracking = sorted({head + "mlruns" for file in holdings.files for head in _before(file.path, "mlruns")})
    note = "an MLflow tracking folder"
    parts = [Part(id=slug(folder, "mlruns"), kind="registry", said={"uri": folder}, notes=[note]) for folder in tracking]
    for file in holdings.files:
        if file.name == "MLmodel" and file.parent:
            part = Part(id=slug(file.parent.rpartition("/")[2], "model"), kind="model", said={"uri": file.parent}, names=[file.parent])
            flavours = _flavours(holdings.text(file, _LOOK))
            if flavours:
                part.hints["framework"] = f"The MLmodel file names: {shown(flavours)}"
            part.notes.append("an MLflow model")
            parts.append(part)
    return parts


def _before(path: str, folder: str) -> list[str]:
    """What stands before the folder's first occurrence in `path`, as a list of none or one."""
    parts = path.split("/")[:-1]
    return ["".join(f"{part}/" for part in parts[: parts.index(folder)])] if folder in parts else []


def _flavours(text: str) -> list[str]:
    try:
        value = documents.parse(text, "MLmodel").value
    except InputError:
        return []
    flavours = value.get("flavors")
    return sorted(flavours) if isinstance(flavours, dict) else []
