"""Merge plans: which channels of a patch share a bucket, the input of each bucket and every member's factor."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from haste.config import Merge

_ALONE = 1 << 40  # codes from here on belong to one channel each


@dataclass(frozen=True)
class MergePlan:
    """Buckets of P patches of C channels and n positions; decided first, applied after.

    A bucket is known by its leader, its first channel. `merged` lists the M channels that share a bucket with others.

    inputs:      (P, C, n) float; the sum of the members where the channel leads a bucket, 0 where another leads it.
    members:     (P, C) int64, channels in the bucket that the channel leads; 0 where another leads it or it is dropped.
    dropped:     (P, C) bool, zero channels that are neither merged nor convolved.
    merged:      (M,) int64, patch * C + channel.
    leader:      (M,) int64, patch * C + leader of its bucket.
    factor:      (M,) float, what the channel takes of its bucket's input.
    input_flops: (P,) int64, what forming and verifying the plan executed.
    """

    inputs: Tensor
    members: Tensor
    dropped: Tensor
    merged: Tensor
    leader: Tensor
    factor: Tensor
    input_flops: Tensor

    def reconstruct(self) -> Tensor:
        """Every channel as factor times bucket input, untouched where it is alone: (P, C, n)."""
        x = self.inputs.flatten(0, 1).clone()
        x[self.merged] = self._taken()
        return x.view_as(self.inputs)

    def residual(self, x: Tensor) -> Tensor:
        """|x_c - a_c u|_2 of the merged channels: (M,)."""
        return (x.flatten(0, 1)[self.merged] - self._taken()).square().sum(-1).sqrt()

    def leaders(self) -> Tensor:
        """The leader of each channel's bucket, itself where it is alone, -1 where it is dropped: (P, C) int64."""
        leader = torch.arange(self.members.numel(), device=self.members.device)
        leader[self.merged] = self.leader
        leader = (leader % self.members.shape[1]).view_as(self.members)
        return leader.masked_fill(self.dropped, -1)

    def _taken(self) -> Tensor:
        return self.factor[:, None] * self.inputs.flatten(0, 1)[self.leader]


def leaders(codes: Tensor) -> Tensor:
    """(P, C) codes -> (P, C) int64: the first channel of the patch that has the same code."""
    ordered, channel = torch.sort(codes, dim=1, stable=True)
    place = torch.arange(codes.shape[1], device=codes.device).expand_as(codes)
    begins = torch.ones_like(codes, dtype=torch.bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = torch.where(begins, place, 0).cummax(1).values
    leader: Tensor = torch.empty_like(codes).scatter_(1, channel, channel.gather(1, first))
    return leader


def _fit(x: Tensor, codes: Tensor, merge: Merge) -> MergePlan:
    """Sum the members of each bucket and find the factors (mean: paper section 3; projection: <x, u> / <u, u>)."""
    leader = leaders(codes)
    target = (leader + torch.arange(len(x), device=x.device)[:, None] * x.shape[1]).flatten()
    members = torch.bincount(target, minlength=target.numel())
    size = members[target]
    merged = (size > 1).nonzero().squeeze(1)
    size, target = size[merged], target[merged]
    inputs = x.flatten(0, 1).clone()
    follows = merged != target
    inputs.index_fill_(0, merged[follows], 0)
    inputs.index_add_(0, target[follows], x.flatten(0, 1)[merged[follows]])
    if merge == "mean":
        factor = 1 / size.to(x.dtype)
    else:
        u = inputs[target]
        norm = u.square().sum(-1)
        factor = (x.flatten(0, 1)[merged] * u).sum(-1) / torch.where(norm > 0, norm, 1.0)
    nothing = torch.zeros_like(codes[:, 0])
    members = members.view_as(codes)
    return MergePlan(inputs.view_as(x), members, torch.zeros_like(codes).bool(), merged, target, factor, nothing)


def _fit_flops(members: Tensor, positions: int, products: bool) -> Tensor:
    """FLOPs of summing buckets of those (P, C) members, and of their dot products where asked: (P,) int64."""
    merged = torch.where(members > 1, members, 0).sum(1)
    buckets = (members > 1).sum(1)
    sums = (merged - buckets) * positions
    return sums + 2 * positions * (merged + buckets) if products else sums


def plan_merges(
    x: Tensor, codes: Tensor, weight_norms: Tensor, *, merge: Merge, tolerance: float | None, drop_zero: bool
) -> MergePlan:
    """Buckets of equal codes, verified: x (P, C, n), codes (P, C) int64, weight_norms (C,) = |W_c|_F.

    With a tolerance every merged channel obeys, with its final u and a,
    `|x_c - a_c u|_2 |W_c|_F <= tolerance sqrt(sum_j |x_j|^2 |W_j|_F^2)`: channels that fail leave, u is formed anew,
    and a bucket that fails again is dissolved. With `drop_zero` zero channels are dropped.
    """
    positions = x.shape[-1]
    dropped = torch.zeros_like(codes, dtype=torch.bool)
    if drop_zero:
        dropped = x.abs() @ x.new_ones(positions) == 0
        codes = torch.where(dropped, _alone(codes), codes)
    plan = _fit(x, codes, merge)
    flops = _fit_flops(plan.members, positions, merge == "projection" or tolerance is not None)
    if tolerance is not None:
        squares = x.square() @ x.new_ones(positions)
        bound = tolerance * (squares @ weight_norms.square()).sqrt()
        flops += 2 * positions * x.shape[1]
        plan, more = _verify(x, codes, plan, weight_norms, bound, merge)
        flops += more
    flops += (plan.members > 1).sum(1) * positions  # the mean's division, or the factor that moves into the input
    return replace(plan, members=plan.members.masked_fill(dropped, 0), dropped=dropped, input_flops=flops)


def _alone(codes: Tensor) -> Tensor:
    return (_ALONE + torch.arange(codes.shape[1], device=codes.device)).expand_as(codes)


def _verify(
    x: Tensor, codes: Tensor, plan: MergePlan, weight_norms: Tensor, bound: Tensor, merge: Merge
) -> tuple[MergePlan, Tensor]:
    """Channels that fail `bound` (P,) leave; buckets that fail again are dissolved: the plan, FLOPs of fitting anew."""
    channels = codes.shape[1]
    flops = torch.zeros_like(codes[:, 0])
    for dissolve in (False, True):
        worst = bound[plan.merged // channels]
        failed = plan.residual(x) * weight_norms[plan.merged % channels] > worst
        if not failed.any():
            break
        left = torch.zeros_like(plan.members).flatten().index_add_(0, plan.leader[failed], failed[failed].long())
        if dissolve:
            failed = left[plan.leader] > 0
        else:
            left = left.view_as(codes)
            flops = _fit_flops(torch.where(left > 0, plan.members - left, 0), x.shape[-1], products=True)
        codes = (
            codes.flatten().index_put((plan.merged[failed],), _ALONE + plan.merged[failed] % channels).view_as(codes)
        )
        plan = _fit(x, codes, merge)
    return plan, flops
