//! A step of a fixed length along the signs of a gradient, and back into a box, in one pass: what an attack of many steps does
//! between two gradients.

use super::extension::{filled, shape};
use super::lanes::Instructions;
use super::layer::is_cpu;
use super::plan::on_cpu;
use super::team;
use burn::tensor::Tensor;

/// A thread takes at least this many values.
const FEW: usize = 1 << 13;

/// x + length · sign(gradient), clamped to `[lower, upper]`; all are `[batch, channels, h, w]`, but `length` `[batch, 1, 1, 1]`.
/// `None` where no kernel computes it: elsewhere than on the CPU, and for what autodiff tracks.
pub fn signed_step(
    x: &Tensor<4>,
    gradient: &Tensor<4>,
    length: &Tensor<4>,
    [lower, upper]: [&Tensor<4>; 2],
) -> Option<Tensor<4>> {
    let all = [x, gradient, lower, upper];
    let own = |t: &&Tensor<4>| is_cpu(&t.device()) && !t.is_tracked() && t.dims() == x.dims();
    let [batch, channels, height, width] = x.dims();
    if !all.iter().all(own) || length.dims() != [batch, 1, 1, 1] || length.is_tracked() || x.shape().num_elements() == 0
    {
        return None;
    }
    let autodiff = x.is_autodiff();
    let [Some(x), Some(gradient), Some(lower), Some(upper)] = all.map(|t| on_cpu(t.clone())) else { return None };
    let length = on_cpu(length.clone())?;
    let (size, with) = (channels * height * width, Instructions::best());
    let y = filled(shape(&x), |out| {
        team::for_each_part(out, size, 1 + FEW / size, |image, out| {
            let of_image = image * size..(image + 1) * size;
            let [x, gradient, lower, upper] =
                [&x, &gradient, &lower, &upper].map(|t| &t.storage::<f32>()[of_image.clone()]);
            let length = length.storage::<f32>()[image];
            with.run(|| {
                let values = x.iter().zip(gradient).zip(lower.iter().zip(upper));
                for (out, ((&x, &g), (&lower, &upper))) in out.iter_mut().zip(values) {
                    // A gradient that is no number shows no way.
                    let step = if g > 0.0 {
                        length
                    } else if g < 0.0 {
                        -length
                    } else {
                        0.0
                    };
                    out.write((x + step).max(lower).min(upper));
                }
            });
        });
    });
    let y = Tensor::from_primitive::<burn::backend::Flex>(y);
    Some(if autodiff { Tensor::from_inner(y) } else { y })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn a_step_is_what_the_single_operations_give() {
        let device = Device::flex();
        let random = |low, high| Tensor::<4>::random([3, 2, 9, 11], Distribution::Uniform(low, high), &device);
        let (x, lower, upper) = (random(0.0, 1.0), random(0.0, 0.3), random(0.6, 1.0));
        let gradient = random(-1.0, 1.0);
        // Some are exactly 0.
        let gradient = gradient.clone().mask_fill(gradient.abs().lower_elem(0.2), 0.0);
        let length = Tensor::<1>::from_floats([0.1, 0.25, 0.0], &device).reshape([3, 1, 1, 1]);
        let found = signed_step(&x, &gradient, &length, [&lower, &upper]).unwrap();
        let expected = (x + gradient.sign() * length).max_pair(lower).min_pair(upper);
        assert_eq!(found.into_data(), expected.into_data());
    }
}
