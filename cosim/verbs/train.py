"""Train a policy on a scenario; write a bundle with its card and learning curve.

The prosumers of one policy of the scenario learn, all others act as the scenario says. Training
sees the calendar's training days only. Needs the extra 'train' (pip install -e .[train]).

  python -m cosim train SCENARIO --policy learner --algorithm ppo --out my_policy
  python -m cosim train SCENARIO --policy learner --algorithm ppo --out my_policy --resume

Exit codes: 0 done, 2 the input is wrong, 3 the run failed, 74 results cannot be written,
130 interrupted (a checkpoint is kept).
"""

from __future__ import annotations

import argparse

ALGORITHMS = {
    "ppo": "one network that every prosumer uses alone",
    "ppo_joint": "one network that decides for all at once",
    "sac": "as ppo, off-policy",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_scenario_options, place

    add = parser.add_argument
    add("scenario", metavar="SCENARIO", help="file, or shipped name")
    listed = "; ".join(f"{name}: {text}" for name, text in ALGORITHMS.items())
    add("--algorithm", choices=ALGORITHMS, default="ppo", help=f"{listed} (default: ppo)")
    add("--policy", metavar="NAME", help="whose prosumers learn (default: the one with batteries)")
    add("--out", type=place, required=True, metavar="DIR", help="folder of the bundle")
    add("--steps", type=int, default=1_000_000, metavar="N", help=f"{_STEPS} (default: 1000000)")
    add("--seed", type=int, default=1, metavar="N", help="of the training (default: 1)")
    add("--lanes", type=int, default=4, metavar="N", help="episodes side by side (default: 4)")
    add("--preset", default="lanes", metavar="NAME", help=_PRESET)
    add("--config", type=place, metavar="FILE.yaml", help="settings laid over those of the preset")
    add("--reward", metavar="TERM=WEIGHT,...", help=_REWARD)
    add("--team", type=float, metavar="SHARE", help="of all learners' worth in each one's reward")
    add("--community", type=float, metavar="SHARE", help="of everybody's worth in each one's")
    add("--days", metavar="A-B,C,...", help="training days to use, from 0 (default: all)")
    add("--judged-days", type=int, default=12, metavar="N", help=_JUDGED)
    add("--licence", default="not stated", metavar="TEXT", help="of the policy, for its card")
    add("--resume", action="store_true", help="go on with the training interrupted in --out")
    add("--quiet", action="store_true", help="print the path only")
    add_scenario_options(parser)


_STEPS = "decisions of single prosumers"
_PRESET = (
    "hyperparameters: lanes (default), or documents (learning rate 3e-4, n_steps 4096, batch 256, "
    "gamma 0.99, clip 0.2, GAE 0.95)"
)
_REWARD = "weights of bill, wear, stored, idle, co2, overload, voltage, fairness, intervention"
_JUDGED = "held-out days to judge the policy on, against the rule and the optimum (default: 12)"


def run(arguments: argparse.Namespace) -> int:
    """Train and print what came out."""
    from cosim.verbs._train import train_policy

    return train_policy(arguments)
