"""Where classifiers that are not the project's come from: timm, torchvision, or a function of one's
own that makes one.

An origin is named ``timm/NAME``, ``torchvision/NAME`` or ``package.module.function``; it gives a
module and how its input is normalised. Only a name that the user gives has a function called: one
that a file names is never imported.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import nn

from blurpaper.errors import UserError
from blurpaper.networks.base import WeightsError
from blurpaper.networks.foreign import FIELD, IMAGENET_MEAN, IMAGENET_STD, head_of

LIBRARIES = ("timm", "torchvision")
_NORMALISING = {
    name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")
}
"""torchvision's models that normalise again what ImageNet's mean and deviation have normalised, as
their weights want it.
"""


@dataclass(frozen=True)
class Made:
    """A module without a wrapper, and what it was trained with: side of the crop, mean and
    deviation of levels from 0 to 1.

    >>> own = Made(nn.Identity(), field=96)
    >>> own.field, own.mean
    (96, (0.485, 0.456, 0.406))
    """

    module: nn.Module
    field: int = FIELD
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD


def origin_of(text: str) -> str | None:
    """The origin that a user names, with its library; None if there is no such thing.

    >>> origin_of("resnet18.a1_in1k"), origin_of("torchvision/alexnet"), origin_of("own.models.tiny"), origin_of("lenet")
    ('timm/resnet18.a1_in1k', 'torchvision/alexnet', 'own.models.tiny', None)

    Raises:
        UserError: for a name that its library does not have.
    """
    library, slash, name = text.partition("/")
    if slash:
        if library not in LIBRARIES:
            return None
        if not _has(library, name):
            near = difflib.get_close_matches(name, _names(library), n=1)
            meant = f"; did you mean {library}/{near[0]}?" if near else "."
            raise UserError(f"{library} has no classifier {name!r}{meant}")
        return text
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", text):
        return None
    found = next((f"{library}/{text}" for library in LIBRARIES if _has(library, text)), None)
    return found or (text if is_dotted(text) else None)


def is_dotted(origin: str) -> bool:
    """Whether an origin is a function of one's own.

    >>> is_dotted("package.module.function"), is_dotted("small_vgg")
    (True, False)
    """
    return (
        "/" not in origin
        and all(part.isidentifier() for part in origin.split("."))
        and "." in origin
    )


def is_foreign(model: str) -> bool:
    """Whether the name of a model is that of an origin, and not of one of the project's models.

    >>> is_foreign("timm/resnet18"), is_foreign("small_vgg")
    (True, False)
    """
    return "/" in model or "." in model


def made(
    origin: str, tensors: Mapping[str, torch.Tensor] | None, outputs: int | None = None
) -> Made:
    """The module of an origin: with these tensors, else as it comes with its weights.

    Args:
        outputs: how many classes it shall have; by default as many as the tensors' last layer has,
            or its own.

    Raises:
        WeightsError: if its weights cannot be fetched, the tensors do not fit, or one's own
            function makes no module.

    >>> import timm
    >>> tensors = timm.create_model("test_resnet", num_classes=2).state_dict()
    >>> found = made("timm/test_resnet", tensors)
    >>> found.field, tuple(found.module.eval()(torch.zeros(1, 3, 160, 160)).shape)
    (160, (1, 2))
    """
    library, _, name = origin.partition("/")
    if is_dotted(origin):
        found = Made(_called(origin))
    elif tensors is None:
        found = _with_own_weights(library, name)
    else:
        found = _built(library, name, None)
        outputs = outputs or _outputs_of(found.module, tensors)
        if outputs is not None:
            found = _built(library, name, outputs)
    if tensors is not None:
        _fill(found.module, tensors, origin)
    return found


# --- Libraries ------------------------------------------------------------------------------------


def _names(library: str) -> list[str]:
    if library == "timm":
        import timm

        return [*timm.list_models(), *timm.list_pretrained()]
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def _has(library: str, name: str) -> bool:
    if library == "timm":
        return name in _names(library)
    return name.partition(".")[0] in _names(library)


def _built(library: str, name: str, outputs: int | None) -> Made:
    """A module with random weights."""
    if library == "timm":
        import timm

        module = timm.create_model(
            name, pretrained=False, **({} if outputs is None else {"num_classes": outputs})
        )
        about = module.pretrained_cfg
        return Made(module, about["input_size"][-1], about["mean"], about["std"])
    from torchvision.models import get_model

    bare = name.partition(".")[0]
    module = get_model(
        bare,
        weights=None,
        **_NORMALISING.get(bare, {}),
        **({} if outputs is None else {"num_classes": outputs}),
    )
    preset = _weights_of(name).transforms()
    return Made(module, preset.crop_size[0], preset.mean, preset.std)


def _weights_of(name: str):  # noqa: ANN202 (torchvision's WeightsEnum)
    from torchvision.models import get_model_weights

    bare, dot, tag = name.partition(".")
    known = get_model_weights(bare)
    if dot and tag not in known.__members__:
        raise WeightsError(
            f"torchvision has no weights {tag!r} of {bare}, but {', '.join(known.__members__)}."
        )
    return known[tag] if dot else known.DEFAULT


def _with_own_weights(library: str, name: str) -> Made:
    """A module with the weights that its library knows of, fetched from their hub or found in its
    cache.
    """
    found = _built(library, name, None)
    fetch = _from_timm if library == "timm" else _from_torchvision
    where, load = fetch(found.module, name)
    try:
        load()
    except Exception as error:  # each hub's client has errors of its own
        why = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"cannot fetch the weights of {library}/{name} from {where} ({why[:120]}): check the network, or give them as a file "
            "(--weights FILE.safetensors)."
        ) from None
    return found


def _from_torchvision(module: nn.Module, name: str) -> tuple[str, Callable[[], object]]:
    """Where the weights are, and what loads them."""
    weights = _weights_of(name)
    return weights.url, lambda: module.load_state_dict(
        weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    )


def _from_timm(module: nn.Module, name: str) -> tuple[str, Callable[[], object]]:
    """Where the weights are, and what loads them; that is tried once, not for a minute, where the
    hub cannot be reached.
    """
    import huggingface_hub as hub
    from timm.models import load_pretrained

    about = dict(module.pretrained_cfg)
    repository = about.get("hf_hub_id")
    if not repository:
        if not about.get("url"):
            raise WeightsError(
                f"timm has no weights of {name}: give some of your own (--weights FILE.safetensors)."
            )
        return about["url"], lambda: load_pretrained(module, about, about["num_classes"])
    host = urlsplit(hub.constants.ENDPOINT).hostname

    def load() -> None:
        try:
            hub.get_hf_file_metadata(hub.hf_hub_url(repository, "model.safetensors"), timeout=10)
        except (
            hub.errors.HfHubHTTPError
        ):  # it answers; its file may have another name, which timm knows
            pass
        except Exception:
            cached = hub.try_to_load_from_cache(repository, "model.safetensors")
            if not isinstance(cached, str):
                raise
            about["file"] = cached
        load_pretrained(module, about, about["num_classes"])

    return f"{host}/{repository}", load


# --- One's own function ---------------------------------------------------------------------------


@contextmanager
def _current_folder_first() -> Iterator[None]:
    """While modules are looked for in the current folder, too."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _called(dotted: str) -> nn.Module:
    path, _, name = dotted.rpartition(".")
    with _current_folder_first():
        try:
            module = importlib.import_module(path)
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise WeightsError(
                f"cannot import {path}, looked for in {Path.cwd()} and on Python's path, to make the network {dotted} ({why})."
            ) from None
        function = getattr(module, name, None)
        if not callable(function):
            raise WeightsError(f"{path} has no function {name!r} that could make a network.")
        try:
            found = function()
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise WeightsError(
                f"{dotted}() must make a torch.nn.Module without being given anything. It raised {why}."
            ) from None
    if not isinstance(found, nn.Module):
        raise WeightsError(f"{dotted}() must make a torch.nn.Module. Got {type(found).__name__}.")
    return found


# --- Tensors --------------------------------------------------------------------------------------


def _outputs_of(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> int | None:
    """How many outputs the layer that gives the logits has in these tensors, if that is another
    number than in the module.
    """
    head = head_of(module)
    given = tensors.get(f"{head}.weight")
    own = None if head is None else module.get_submodule(head).weight
    return None if given is None or given.ndim != own.ndim or len(given) == len(own) else len(given)


def _fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], origin: str) -> None:
    own = module.state_dict()
    wrong = [name for name in own if name in tensors and tensors[name].shape != own[name].shape]
    faults = {
        "lack": [name for name in own if name not in tensors],
        "have besides": [name for name in tensors if name not in own],
        "have in another shape": wrong,
    }
    said = [
        f"{verb} {', '.join(names[:2])}{', ...' if len(names) > 2 else ''}"
        for verb, names in faults.items()
        if names
    ]
    if said:
        raise WeightsError(f"the weights given do not fit {origin}: they {'; they '.join(said)}.")
    module.load_state_dict(dict(tensors))
