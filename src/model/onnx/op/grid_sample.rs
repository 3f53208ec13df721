//! Sampling an image at given places: by gathering pixels and weighting them, so that it is differentiable in image and
//! places on every device.

use super::call::Call;
use super::{Operator, Outcome};
use crate::model::onnx::value::{Value, check_size, upload};
use burn::tensor::Tensor;

pub(super) static OPERATORS: &[Operator] =
    &[Operator::new("GridSample", grid_sample), Operator::new("AffineGrid", affine_grid).with_settings(&[1])];

/// Where the pixels of an image of a given size lie in another, by an affine map θ of each, `[batch, 2, 3]`.
fn affine_grid(call: &mut Call<'_>) -> Outcome {
    let [n, two, three] = call.dims::<3>(0)?;
    let size = super::shape::sizes(&call.ints(1)?)?;
    let [batch, _, rows, columns] = size[..] else {
        return Err(format!("it is computed for images, and the size is {size:?}"));
    };
    if (batch, two, three) != (n, 2, 3) || rows * columns == 0 {
        return Err(format!("maps of shape [{n}, {two}, {three}] for images of {size:?}"));
    }
    check_size(&[n, rows, columns, 3])?;
    let align = call.node.attributes.flag("align_corners");
    let place = |i: usize, length: usize| {
        let (i, length) = (i as f32, length as f32);
        match align {
            // A single pixel has no far corner.
            true if length == 1.0 => -1.0,
            true => 2.0 * i / (length - 1.0) - 1.0,
            false => (2.0 * i + 1.0) / length - 1.0,
        }
    };
    let points = (0..rows * columns).flat_map(|i| [place(i % columns, columns), place(i / columns, rows), 1.0]);
    let points = Tensor::<3>::from_dispatch(upload(points.collect(), &[1, rows * columns, 3], call.device));
    let maps = Tensor::<3>::from_dispatch(call.float(0)?);
    let grid = points.expand([n, rows * columns, 3]).matmul(maps.swap_dims(1, 2));
    Ok(vec![Value::Float(grid.reshape([n, rows, columns, 2]).into_dispatch())])
}

/// What lies outside the image.
#[derive(Clone, Copy, PartialEq)]
enum Outside {
    Zeros,
    Border,
    /// About these ends.
    Reflection([(f32, f32); 2]),
}

/// The image, `[batch, channels, height·width]`, and its size.
struct Pixels {
    values: Tensor<3>,
    size: [usize; 2],
    outside: Outside,
}

/// Places reflected about `low` and `high` until they lie between them.
fn reflected(x: Tensor<2>, low: f32, high: f32) -> Tensor<2> {
    let span = high - low;
    if span <= 0.0 {
        return x.zeros_like();
    }
    // Distance from `low`, folded: 0…span…0 with period 2·span.
    let distance = (x - low).abs();
    let phase = distance.clone() - (distance / (2.0 * span)).floor() * (2.0 * span);
    -(phase - span).abs() + high
}

impl Pixels {
    /// Coordinates brought into the image as the padding says.
    fn inside(&self, at: Tensor<2>, axis: usize) -> Tensor<2> {
        match self.outside {
            Outside::Zeros => at,
            Outside::Border => at.clamp(0.0, self.size[axis] as f32 - 1.0),
            Outside::Reflection(ends) => {
                let (low, high) = ends[axis];
                reflected(at, low, high).clamp(0.0, self.size[axis] as f32 - 1.0)
            }
        }
    }

    /// The pixels at whole `row`s and `column`s, `[batch, points]`.
    fn at(&self, row: Tensor<2>, column: Tensor<2>) -> Tensor<3> {
        let [batch, channels, _] = self.values.dims();
        let [_, points] = row.dims();
        let (row, column) = (self.inside(row.detach(), 0).round(), self.inside(column.detach(), 1).round());
        let (height, width) = (self.size[0] as f32, self.size[1] as f32);
        let (r, c) = (row.clone().clamp(0.0, height - 1.0), column.clone().clamp(0.0, width - 1.0));
        let index = (r.clone() * width + c.clone()).int().reshape([batch, 1, points]).expand([batch, channels, points]);
        let picked = self.values.clone().gather(2, index);
        if self.outside != Outside::Zeros {
            return picked;
        }
        // What was moved by the clamp lies outside.
        let moved = (r - row).abs() + (c - column).abs();
        picked * moved.lower_elem(0.5).float().reshape([batch, 1, points])
    }
}

/// The cubic convolution kernel with a = −¾ for the four pixels around `t`, which lies between the second and third.
fn cubic_weights(t: Tensor<2>) -> [Tensor<2>; 4] {
    const A: f32 = -0.75;
    let near = |x: Tensor<2>| ((x.clone() * (A + 2.0) - (A + 3.0)) * x.clone() * x) + 1.0;
    let far = |x: Tensor<2>| ((x.clone() * A - 5.0 * A) * x.clone() + 8.0 * A) * x - 4.0 * A;
    [far(t.clone() + 1.0), near(t.clone()), near(-t.clone() + 1.0), far(-t + 2.0)]
}

fn grid_sample(call: &mut Call<'_>) -> Outcome {
    let ([n, c, h, w], [grid_n, rows, columns, two]) = (call.dims::<4>(0)?, call.dims::<4>(1)?);
    if grid_n != n || two != 2 || h * w == 0 {
        return Err(format!("a grid of [{grid_n}, {rows}, {columns}, {two}] for an image of [{n}, {c}, {h}, {w}]"));
    }
    check_size(&[n, c, rows, columns])?;
    let attributes = &call.node.attributes;
    let align = attributes.flag("align_corners");
    let mode = attributes.text("mode").unwrap_or("linear").to_owned();
    let end = |length: usize| if align { (0.0, length as f32 - 1.0) } else { (-0.5, length as f32 - 0.5) };
    let outside = match attributes.text("padding_mode").unwrap_or("zeros") {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection([end(h), end(w)]),
        other => return Err(format!("padding_mode is {other:?}")),
    };
    let image = Tensor::<4>::from_dispatch(call.float(0)?).reshape([n, c, h * w]);
    let pixels = Pixels { values: image, size: [h, w], outside };
    let points = rows * columns;
    let grid = Tensor::<4>::from_dispatch(call.float(1)?).reshape([n, points, 2]);
    // From [−1, 1] to pixels.
    let place = |i: usize, length: usize| {
        let v = grid.clone().narrow(2, i, 1).reshape([n, points]);
        if align { (v + 1.0) * (0.5 * (length as f32 - 1.0)) } else { (v + 1.0) * (0.5 * length as f32) - 0.5 }
    };
    let (x, y) = (place(0, w), place(1, h));
    let each = |weight: Tensor<2>| weight.reshape([n, 1, points]);
    let sampled = match mode.as_str() {
        "nearest" => pixels.at(pixels.inside(y, 0).round(), pixels.inside(x, 1).round()),
        "linear" | "bilinear" => {
            let (x, y) = (pixels.inside(x, 1), pixels.inside(y, 0));
            let (left, top) = (x.clone().detach().floor(), y.clone().detach().floor());
            let (right_share, bottom_share) = (x - left.clone(), y - top.clone());
            let mix = |row: Tensor<2>| {
                pixels.at(row.clone(), left.clone()) * each(-right_share.clone() + 1.0)
                    + pixels.at(row, left.clone() + 1.0) * each(right_share.clone())
            };
            mix(top.clone()) * each(-bottom_share.clone() + 1.0) + mix(top.clone() + 1.0) * each(bottom_share.clone())
        }
        "cubic" | "bicubic" => {
            let (left, top) = (x.clone().detach().floor(), y.clone().detach().floor());
            let (across, down) = (cubic_weights(x - left.clone()), cubic_weights(y - top.clone()));
            let row = |i: usize| {
                let taps = across.iter().enumerate();
                taps.map(|(j, weight)| {
                    pixels.at(top.clone() + (i as f32 - 1.0), left.clone() + (j as f32 - 1.0)) * each(weight.clone())
                })
                .reduce(|a, b| a + b)
            };
            let rows = down.iter().enumerate().filter_map(|(i, weight)| Some(row(i)? * each(weight.clone())));
            rows.reduce(|a, b| a + b).ok_or("it has no taps")?
        }
        other => return Err(format!("mode is {other:?}")),
    };
    Ok(vec![Value::Float(sampled.reshape([n, c, rows, columns]).into_dispatch())])
}
