//! What a convolution is: kernel, stride, dilation, padding, and what becomes of negative sums.

/// Kernel, stride, dilation and zero padding of a convolution, rows before columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Before the first and after the last row, and column.
    pub padding: [[usize; 2]; 2],
}

impl Geometry {
    /// Pixels between the first and the last that a kernel reads, on `axis`.
    pub fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1)
    }

    /// Output pixels of an input of `size` pixels on `axis`; 0 if the kernel does not fit.
    pub fn output(&self, axis: usize, size: usize) -> usize {
        let [before, after] = self.padding[axis];
        let room = (size + before + after).checked_sub(self.reach(axis) + 1);
        room.map_or(0, |room| room / self.stride[axis] + 1)
    }

    /// Elements of a kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// What a sum is clamped to before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// At least 0.
    Relu,
    /// Between these.
    Clip(f32, f32),
}

impl Activation {
    /// The bounds, if there are any.
    pub(super) fn bounds(self) -> Option<[f32; 2]> {
        match self {
            Self::None => None,
            Self::Relu => Some([0.0, f32::INFINITY]),
            Self::Clip(lower, upper) => Some([lower, upper]),
        }
    }

    /// `sum` within the bounds; one that is no number stays so.
    pub(super) fn of(self, sum: f32) -> f32 {
        match self {
            Self::None => sum,
            Self::Relu => {
                if 0.0 > sum {
                    0.0
                } else {
                    sum
                }
            }
            Self::Clip(lower, upper) => {
                let sum = if lower > sum { lower } else { sum };
                if upper < sum { upper } else { sum }
            }
        }
    }
}
