"""One training in several processes (``torchrun``): who they are, what they share, how all of them stop together.

Each process takes its share of every batch; the mean of their gradients is the gradient of the whole batch, so the weights
stay equal everywhere. Gradients are averaged by hand, in one message before the optimizers step: DistributedDataParallel
hooks into ``backward()``, and the training step takes gradients apart with ``autograd.grad``.

What one process alone knows (its clock, a Ctrl-C, an error) reaches the others through :meth:`Processes.agree`. All of them
call it at the same places, before anything else that they do together, so that none waits for one that has failed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from monkeynet_edu.errors import ToldElsewhereError, UserError

PATIENCE = timedelta(minutes=30)  # with the slowest process, which may be reading clips or writing a checkpoint


@dataclass(frozen=True)
class Agreement:
    """What all processes know after :meth:`Processes.agree`.

    Attributes:
        stop: one of them wants to stop.
        save: the first wants a checkpoint.
        seconds: the first one's training time.
    """

    stop: bool
    save: bool
    seconds: float


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    Attributes:
        rank: this one's number, from 0. Number 0 writes and speaks.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def check_batch(self, size: int) -> None:
        """Refuses a batch that does not divide into equal shares: the mean of their means would not be the batch's.

        Raises:
            UserError: naming the nearest size that does.
        """
        if size % self.count:
            near = max(1, round(size / self.count)) * self.count
            raise UserError(
                f"batch size {size}: expected a multiple of {self.count}, one share for each process, got {size}; "
                f"the nearest that works is --batch-size {near}"
            )

    def share(self, batch: Tensor) -> Tensor:
        """This process's part (B / count, …) of a batch (B, …)."""
        size = len(batch) // self.count
        return batch[self.rank * size : (self.rank + 1) * size]

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replaces tensors by their means over all processes, in place; one message for all of them.

        Args:
            tensors: on one device, of the same shapes in every process; integers are left alone.

        Raises:
            ToldElsewhereError: another process has failed.
            UserError: another process is gone.
        """
        if self.count == 1:
            return
        self.agree()
        mine = [tensor for tensor in tensors if tensor.is_floating_point()]
        flat = torch.cat([tensor.reshape(-1) for tensor in mine])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(mine, torch.split(flat, [tensor.numel() for tensor in mine]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def average_step(self, model: nn.Module) -> None:
        """Averages gradients, and the running statistics of batch norm; for the errors see :meth:`average`."""
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        self.average([*gradients, *model.buffers()])

    @torch.no_grad()
    def begin_alike(self, model: nn.Module, device: torch.device) -> None:
        """Gives every process the first one's weights and statistics; on CUDA, batch norm sees the whole batch from here.

        Args:
            model: its weights stay the same objects, under the same names.
            device: where it computes.

        Raises:
            ToldElsewhereError: another process has failed.
            UserError: another process is gone.
        """
        if self.count == 1:
            return
        self.agree()
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, src=0)
        if device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]

    def agree(self, stop: bool = False, save: bool = False, seconds: float = 0.0, failed: bool = False) -> Agreement:
        """Tells the others, and hears from them; all processes call it equally often.

        Args:
            stop: this process wants to stop.
            save: a checkpoint is due; only the first one's word counts.
            seconds: training time; only the first one's counts.
            failed: this process is about to raise an error.

        Raises:
            ToldElsewhereError: another process has failed, and says why.
            UserError: another process is gone.
        """
        if self.count == 1:
            return Agreement(stop, save, seconds)
        leads = self.first
        said = [self.count - self.rank if failed else 0, stop, save and leads, seconds if leads else 0]
        heard = torch.tensor(said, dtype=torch.float64)
        try:
            dist.all_reduce(heard, dist.ReduceOp.MAX)
        except RuntimeError as error:
            raise UserError(
                f"process {self.rank}: expected an answer of the other {self.count - 1}, got none; see what they said, "
                "then go on with --resume"
            ) from error
        failure, *rest = heard.tolist()
        if failure and failure != said[0]:
            raise ToldElsewhereError(f"process {self.count - int(failure)} has failed; it says why")
        return Agreement(bool(rest[0]), bool(rest[1]), rest[2])


ALONE = Processes()


def local_device(wanted: str) -> str:
    """The device of this process: ``auto`` and ``cuda`` mean a GPU for each where ``torchrun`` has started several.

    Args:
        wanted: ``auto`` or a torch device.
    """
    if _started() > 1 and wanted in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return wanted


def _started() -> int:
    """How many processes ``torchrun`` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that ``torchrun`` has started, connected; without it, this one alone.

    Inside, an error of one process becomes an error of all: the first of those that fail speaks, the others are silent.

    Raises:
        UserError: they do not find each other.
        ToldElsewhereError: in place of this process's own error, where one of a lower number fails as well.
    """
    count = _started()
    if count == 1:
        yield ALONE
        return
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        if on_gpus:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"several processes: expected to find {count}, got {str(error).splitlines()[0][:80]}; start them with "
            "torchrun --nproc-per-node N -m monkeynet_edu train …"
        ) from error
    processes = Processes(dist.get_rank(), count)
    try:
        with _failing_together(processes):
            yield processes
    finally:
        dist.destroy_process_group()


@contextmanager
def _failing_together(processes: Processes) -> Iterator[None]:
    """Tells the others of an error, and leaves only when all do: torchrun ends the rest as soon as one has failed."""
    try:
        yield
    except ToldElsewhereError:
        _leave(processes)
        raise
    except Exception:
        try:
            processes.agree(failed=True)
        except UserError as other:
            if isinstance(other, ToldElsewhereError):
                _leave(processes)
                raise
        else:
            _leave(processes)
        raise
    _leave(processes)


def _leave(processes: Processes) -> None:
    with suppress(UserError):  # of those that are gone already
        processes.agree()
