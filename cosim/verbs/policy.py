"""Policy: bring a trained policy here, show it, check it, pack it, calibrate its supervisor.

A trained policy is a bundle, a folder or a zip archive of card.json and model.onnx. 'import' makes
one of a model saved by stable-baselines3 (PPO, SAC, TD3 with MlpPolicy) or sb3-contrib
(RecurrentPPO with one LSTM layer), without running anything in the file.

  python -m cosim policy import model.zip --to mine --features soc,hour_sin --actions battery_kw
  python -m cosim policy show shared_ppo
  python -m cosim policy verify mine
  python -m cosim policy export mine --to mine.zip
  python -m cosim policy calibrate SCENARIO.yaml --policy learner --write-card mine
"""

from __future__ import annotations

import argparse

DEEDS = {
    "import": "make a bundle of a model saved by stable-baselines3",
    "export": "pack a bundle into one .zip archive, or unpack one into a folder",
    "show": "say what a bundle sees, decides, and how it was trained and judged",
    "verify": "make every check of a bundle, golden vectors included, and print each",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the deeds and their arguments."""
    from cosim.verbs._calibrate import add_calibrate
    from cosim.verbs._parser import Parser, place

    deeds = parser.add_subparsers(dest="deed", metavar="DEED", required=True, parser_class=Parser)
    for name, help_text in DEEDS.items():
        deed = deeds.add_parser(name, help=help_text, description=f"{help_text.capitalize()}.")
        what = "MODEL" if name == "import" else "BUNDLE"
        deed.add_argument("source", metavar=what, help=_SOURCES[what])
        if name in {"import", "export"}:
            add = deed.add_argument
            add("--to", type=place, required=True, metavar="PLACE", help=_PLACES[name])
        if name == "import":
            _add_import_options(deed)
        deed.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_calibrate(deeds)


_SOURCES = {
    "MODEL": "file written by model.save()",
    "BUNDLE": "folder, archive, or name of a bundle that comes with the program",
}
_PLACES = {"import": "folder to write the bundle into", "export": "new .zip archive, or folder"}


def _add_import_options(parser: argparse.ArgumentParser) -> None:
    from cosim.verbs._parser import place

    listed = "'python -m cosim list features' prints them"
    parser.add_argument("--features", required=True, metavar="A,B,...",
                        help=f"columns of the observation in their order; {listed}")  # fmt: skip
    parser.add_argument("--actions", required=True, metavar="A,...", help="columns of the action")
    parser.add_argument("--normalize", type=place, metavar="FILE",
                        help="file of VecNormalize.save(), or JSON with mean and var")  # fmt: skip
    parser.add_argument("--agents", metavar="HOME,...",
                        help="joint policy: prosumers in the order of the observation")  # fmt: skip
    parser.add_argument("--share-of-rating", action="store_true",
                        help="the action is a share of the battery's rating, not kW")  # fmt: skip
    parser.add_argument("--range", dest="ranges", action="append", default=[],
                        metavar="NAME=LOW:HIGH", help="range of a column in training, where the "
                        "file does not say it")  # fmt: skip
    parser.add_argument("--activation", metavar="NAME", help="where the file does not print it")
    parser.add_argument(
        "--interval-minutes", type=int, default=15, help="of the market, default 15"
    )
    parser.add_argument("--gate-lead-seconds", type=int, help="of the market; default: any")
    parser.add_argument("--name", help="of the policy; default: the folder's")
    parser.add_argument("--policy-version", default="1", help="of the policy")
    parser.add_argument("--licence", default="not stated", help="of the policy")
    parser.add_argument("--command", default="", help="that trains it again, for the card")
    parser.add_argument("--trust", action="store_true",
                        help="load with stable-baselines3: RUNS WHAT FILES HOLD")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Do the deed."""
    from cosim.verbs import _calibrate, _policy

    if arguments.deed == "calibrate":
        return _calibrate.run(arguments)
    deeds = {
        "import": _policy.import_model,
        "export": _policy.export_bundle,
        "show": _policy.show,
        "verify": _policy.verify,
    }
    deeds[arguments.deed](arguments)
    return 0
