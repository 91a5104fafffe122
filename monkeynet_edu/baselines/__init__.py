"""The paper's rivals in miniature: X2Face, MoCoGAN, CMM-Net and SV2P, in the loop and the files of Monkey-Net."""

from __future__ import annotations

from monkeynet_edu.baselines.base import Practice as Practice
from monkeynet_edu.baselines.base import Rival as Rival
from monkeynet_edu.baselines.base import RivalConfig as RivalConfig
from monkeynet_edu.baselines.base import RivalRun as RivalRun
from monkeynet_edu.baselines.base import RivalStep as RivalStep
from monkeynet_edu.baselines.registry import RIVALS as RIVALS
from monkeynet_edu.baselines.registry import is_rival as is_rival
from monkeynet_edu.baselines.registry import load as load
from monkeynet_edu.baselines.registry import measure as measure
from monkeynet_edu.baselines.registry import recipe_for as recipe_for
from monkeynet_edu.baselines.registry import shipped as shipped
from monkeynet_edu.baselines.registry import start as start
from monkeynet_edu.baselines.registry import title as title
