"""The paper's experiments in miniature: ablations, number of keypoints, tables, set beside the paper's figures.

``plans`` says what is compared, ``runs`` does one run, ``pool`` many at once, ``statistics`` holds what a handful of runs
allows one to say, and ``reports`` says it: in a table, a picture and words.
"""

from __future__ import annotations

from monkeynet_edu.experiments.plans import BUDGETS as BUDGETS
from monkeynet_edu.experiments.plans import COUNTS as COUNTS
from monkeynet_edu.experiments.plans import EXPERIMENTS as EXPERIMENTS
from monkeynet_edu.experiments.plans import METHODS as METHODS
from monkeynet_edu.experiments.plans import VARIANTS as VARIANTS
from monkeynet_edu.experiments.plans import Effort as Effort
from monkeynet_edu.experiments.plans import Experiment as Experiment
from monkeynet_edu.experiments.plans import Job as Job
from monkeynet_edu.experiments.plans import choose_methods as choose_methods
from monkeynet_edu.experiments.plans import effort as effort
from monkeynet_edu.experiments.plans import experiment as experiment
from monkeynet_edu.experiments.plans import find_job as find_job
from monkeynet_edu.experiments.plans import jobs_of as jobs_of
from monkeynet_edu.experiments.plans import variant_config as variant_config
from monkeynet_edu.experiments.records import Places as Places
from monkeynet_edu.experiments.records import default_results as default_results
from monkeynet_edu.experiments.reports import Reproduction as Reproduction
from monkeynet_edu.experiments.reports import report as report
from monkeynet_edu.experiments.reproduction import Progress as Progress
from monkeynet_edu.experiments.reproduction import reproduce as reproduce
from monkeynet_edu.experiments.runs import run_job as run_job
from monkeynet_edu.experiments.statistics import order_stability as order_stability
from monkeynet_edu.experiments.statistics import paired_bootstrap as paired_bootstrap
