"""Pictures as a vision transformer reads them."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equiray.data.examples.record import Pixels


class PixelScale(NamedTuple):
    """Mean and deviation of red, green and blue, of values from 0 to 1, that a model's pictures are brought to."""

    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    deviation: tuple[float, ...] = (0.5, 0.5, 0.5)


def pixel_values(pictures: Pixels, side: int, scale: PixelScale = PixelScale()) -> Tensor:  # noqa: B008, a constant
    """Pictures uint8 [N, H, W, 3] as float32 [N, 3, side, side]; those of another size are resized, antialiased."""
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 255
    if values.shape[2:] != (side, side):
        values = interpolate(values, size=(side, side), mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(part)[:, None, None] for part in scale)
    return (values - mean) / deviation
