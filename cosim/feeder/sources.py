"""Where networks come from: simbench, pandapower's own networks, and pandapower files.

``load_network`` keeps what it extracted, so that a second load needs no pandapower.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.feeder.checks import cache_dir, source_hash, versions
from cosim.feeder.json_guard import check_net_json
from cosim.feeder.network import Network, load_saved, save_network

__all__ = ["cache_dir", "json_net", "load_network", "pandapower_net", "simbench_net"]

LARGEST_FILE_BYTES = 64 * 2**20


def simbench_net(code: str) -> Any:
    """Return the simbench net of a code, taps repaired, with its load and profile tables."""
    with _third_party_quiet():
        import simbench

        from cosim.feeder.extract import repair_taps

        known = simbench.collect_all_simbench_codes()
        if code not in known:
            raise _unknown("simbench code", code, known)
        net = simbench.get_simbench_net(code)
        repair_taps(net)
    return net


def pandapower_net(name: str) -> Any:
    """Return a net of ``pandapower.networks`` by the name of its function, made with defaults.

    Some of them draw lengths or cables at random; they get the same draws every time.
    """
    with _third_party_quiet():
        makers = _makers()
        if name not in makers:
            raise _unknown("pandapower network", name, makers)
        try:
            with _fixed_draws():
                net = makers[name]()
        except Exception as error:  # some need extra packages or files
            raise InputError(
                Problem(f"pandapower cannot make the network '{name}'", why=str(error))
            ) from error
        if not hasattr(net, "bus"):
            raise _unknown("pandapower network", name, set(makers) - {name})
    return net


def json_net(path: str | Path) -> Any:
    """Return the net in a pandapower ``.json`` file, checked before anything in it is made."""
    text = _file_text(Path(path))
    check_net_json(text, str(path))
    with _third_party_quiet():
        import pandapower as pp

        try:
            net = pp.from_json_string(text, convert=True)
            complete = all(len(net[table].columns) for table in ("bus", "line", "ext_grid"))
        except Exception as error:  # the file is foreign: pandapower may fail anywhere in it
            raise InputError(
                Problem("pandapower cannot read the net", where=str(path), why=str(error))
            ) from error
    if not complete:
        raise InputError(Problem("the file is not a complete pandapower net", where=str(path)))
    return net


SOURCES: dict[str, Callable[[str], Any]] = {
    "simbench": simbench_net,
    "pandapower": pandapower_net,
    "json": json_net,
}


def load_network(source: str, name: str, cache: Path | None = None) -> Network:
    """Return the network of a source (simbench, pandapower, json) by code, name or path.

    What was extracted once is read back from ``cache`` (default ``cache_dir()``) without
    importing pandapower; a damaged file there is made again.
    """
    if source not in SOURCES:
        raise _unknown("network source", source, SOURCES)
    content = _file_text(Path(name)) if source == "json" else name
    path = (
        (cache_dir() if cache is None else Path(cache))
        / "networks"
        / f"{_key(source, content)}.npz"
    )
    with contextlib.suppress(ValueError):
        return load_saved(path)
    from cosim.feeder.extract import extract

    net = SOURCES[source](name)
    with _third_party_quiet():
        network = extract(net, f"{source} {name}", versions())
    with contextlib.suppress(OSError):
        save_network(network, path)
    return network


def _key(source: str, content: str) -> str:
    """Return the cache key: what was asked for, by which code, with which packages."""
    code = source_hash("extract", "sources", "network", "topology")
    return hashlib.sha256(f"{source}\n{content}\n{code}\n{versions()}".encode()).hexdigest()


def _unknown(kind: str, word: str, known: Any) -> InputError:
    return InputError(Problem(f"unknown {kind} '{word}'", remedy=did_you_mean(word, known)))


def _file_text(path: Path) -> str:
    """Return a file's text; raise ``InputError`` when it is missing, too large or not text."""
    try:
        if not path.is_file():
            raise InputError(Problem("the network file does not exist", where=str(path)))
        if path.stat().st_size > LARGEST_FILE_BYTES:
            limit = LARGEST_FILE_BYTES // 2**20
            why = f"the largest allowed is {limit} MB"
            raise InputError(Problem("the network file is too large", where=str(path), why=why))
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        problem = Problem("the network file cannot be read", where=str(path)[:200], why=str(error))
        raise InputError(problem) from error


def _makers() -> dict[str, Callable[[], Any]]:
    """Return the public functions of ``pandapower.networks`` that need no argument."""
    from pandapower import networks

    found: dict[str, Callable[[], Any]] = {}
    for name, maker in vars(networks).items():
        module = getattr(maker, "__module__", "")
        if name.startswith("_") or not inspect.isfunction(maker):
            continue
        if not module.startswith("pandapower.networks"):
            continue
        parameters = inspect.signature(maker).parameters.values()
        if all(
            p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            for p in parameters
        ):
            found[name] = maker
    return found


@contextlib.contextmanager
def _fixed_draws() -> Iterator[None]:
    """Seed the global generators that third parties draw from, and put them back."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


@contextlib.contextmanager
def _third_party_quiet() -> Iterator[None]:
    """Silence warnings and logs of third parties about their own internals, while making nets."""
    logger = logging.getLogger("pandapower")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
