"""Environments of Gymnasium and PettingZoo: the simulation with the learner at the desk."""

from cosim.envs.joint import JointEnv
from cosim.envs.parallel import CommunityEnv
from cosim.envs.single import SingleEnv

__all__ = ["CommunityEnv", "JointEnv", "SingleEnv"]
