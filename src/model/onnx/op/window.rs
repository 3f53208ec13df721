//! Where the windows of convolutions and pools lie: kernel, stride, dilation and padding along one axis each.

use crate::model::onnx::attribute::Attributes;

/// The windows along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: usize,
    /// Step from window to window.
    pub stride: usize,
    /// Step from tap to tap.
    pub dilation: usize,
    /// Padding before the first element.
    pub before: usize,
    /// Padding after the last, as the operator states it.
    pub after: usize,
    /// Length of the output.
    pub output: usize,
}

impl Window {
    /// From the first tap to behind the last.
    pub fn extent(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// The padding after the last element that the windows really reach, for an input of `length`. Less than
    /// `after` where the last windows do not fill it, more where a window was begun that does not fit (`ceil_mode`).
    pub fn reached(&self, length: usize) -> usize {
        ((self.output - 1) * self.stride + self.extent()).saturating_sub(length + self.before)
    }
}

/// Numbers of an attribute, one an axis: positive, and not beyond all reason.
fn numbers(attributes: &Attributes, name: &str, axes: usize, default: i64) -> Result<Vec<usize>, String> {
    let values = attributes.ints(name).map_or_else(|| vec![default; axes], <[i64]>::to_vec);
    if values.len() != axes {
        return Err(format!("{name} is {values:?} and needs {axes} numbers"));
    }
    let fits = |v: i64| usize::try_from(v).ok().filter(|v| (1..=1 << 20).contains(v));
    values.iter().map(|&v| fits(v)).collect::<Option<_>>().ok_or_else(|| format!("{name} is {values:?}"))
}

/// The paddings of an attribute: all of those before, then all of those after.
pub fn pads(attributes: &Attributes, axes: usize) -> Result<Vec<(usize, usize)>, String> {
    let values = attributes.ints("pads").map_or_else(|| vec![0; 2 * axes], <[i64]>::to_vec);
    if values.len() != 2 * axes {
        return Err(format!("pads is {values:?} and needs {} numbers", 2 * axes));
    }
    let fits = |v: i64| usize::try_from(v).ok().filter(|&v| v <= 1 << 20);
    (0..axes)
        .map(|i| fits(values[i]).zip(fits(values[i + axes])))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("pads is {values:?}; negative padding is not supported here"))
}

/// Strides, dilations and paddings of a transposed convolution or other operator without an output length.
pub fn strides_and_dilations(attributes: &Attributes, axes: usize) -> Result<(Vec<usize>, Vec<usize>), String> {
    Ok((numbers(attributes, "strides", axes, 1)?, numbers(attributes, "dilations", axes, 1)?))
}

/// The windows of a convolution or pool over `lengths`, one an axis.
pub fn windows(
    attributes: &Attributes,
    lengths: &[usize],
    kernel: &[usize],
    ceil: bool,
) -> Result<Vec<Window>, String> {
    let axes = lengths.len();
    let (strides, dilations) = strides_and_dilations(attributes, axes)?;
    let pads = pads(attributes, axes)?;
    let auto = attributes.text("auto_pad").unwrap_or("NOTSET");
    (0..axes)
        .map(|i| {
            let (kernel, stride, dilation, length) = (kernel[i], strides[i], dilations[i], lengths[i]);
            if kernel == 0 {
                return Err("its kernel is empty".to_owned());
            }
            let extent = dilation * (kernel - 1) + 1;
            let mut window = Window { kernel, stride, dilation, before: 0, after: 0, output: 0 };
            match auto {
                "SAME_UPPER" | "SAME_LOWER" => {
                    window.output = length.div_ceil(stride);
                    let total = (window.output.saturating_sub(1) * stride + extent).saturating_sub(length);
                    let (small, large) = (total / 2, total - total / 2);
                    (window.before, window.after) = if auto == "SAME_UPPER" { (small, large) } else { (large, small) };
                }
                "NOTSET" | "" | "VALID" => {
                    if auto != "VALID" {
                        (window.before, window.after) = pads[i];
                    }
                    let padded = length + window.before + window.after;
                    if padded < extent {
                        return Err(format!("a window of {extent} does not fit into {padded} padded elements"));
                    }
                    let room = padded - extent;
                    window.output = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
                    // A window that would begin in the padding behind the input is not taken.
                    if ceil && (window.output - 1) * stride >= length + window.before {
                        window.output -= 1;
                    }
                }
                other => return Err(format!("auto_pad is {other:?}")),
            }
            if window.output == 0 {
                return Err("its output would be empty".to_owned());
            }
            Ok(window)
        })
        .collect()
}

/// `kernel_shape`, one number an axis.
pub fn kernel(attributes: &Attributes, axes: usize) -> Result<Vec<usize>, String> {
    if !attributes.has("kernel_shape") {
        return Err("it has no kernel_shape".to_owned());
    }
    numbers(attributes, "kernel_shape", axes, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::onnx::attribute::Attribute;

    fn window(settings: &[(&str, &[i64])], auto: &str, length: usize, kernel: usize, ceil: bool) -> Window {
        let mut attributes = Attributes::default();
        for (name, values) in settings {
            attributes.insert(*name, Attribute::Ints(values.to_vec()));
        }
        attributes.insert("auto_pad", Attribute::Text(auto.to_owned()));
        windows(&attributes, &[length], &[kernel], ceil).unwrap()[0]
    }

    #[test]
    fn same_padding_divides_the_size_and_puts_the_odd_one_where_it_is_told() {
        let upper = window(&[("strides", &[2])], "SAME_UPPER", 6, 3, false);
        assert_eq!((upper.output, upper.before, upper.after), (3, 0, 1));
        let lower = window(&[("strides", &[2])], "SAME_LOWER", 6, 3, false);
        assert_eq!((lower.output, lower.before, lower.after), (3, 1, 0));
    }

    #[test]
    fn ceil_mode_takes_a_window_that_begins_inside_only() {
        // 5 elements, windows of 2 by 2: the third begins at 4 and is cut.
        let cut = window(&[("strides", &[2])], "NOTSET", 5, 2, true);
        assert_eq!((cut.output, cut.reached(5)), (3, 1));
        // 3 elements, padded by 1 on both sides: a window at 4 would begin in the padding.
        let begun = window(&[("strides", &[4]), ("pads", &[1, 1])], "NOTSET", 3, 2, true);
        assert_eq!(begun.output, 1);
    }
}
