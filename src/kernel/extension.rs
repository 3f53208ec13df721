//! The kernels as burn operations: a backend extension for the CPU.

use super::direct::{Finish, Images, convolve, transpose};
use super::geometry::Activation;
use super::linear::Product;
use super::mix::Mix;
use super::plan::{Plan, Pool, Scale, plain};
use super::source::Part;
use super::{pool, scale};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorData, TensorMetadata, backend_extension};
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Operations of frozen networks, on the CPU only: [`super::Convolution`] and its like choose burn's own elsewhere.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Frozen: Backend {
    /// A convolution with bias and activation.
    fn frozen_conv(x: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self>;
    /// The same of two tensors whose channels follow each other.
    fn frozen_conv_pair(a: FloatTensor<Self>, b: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self>;
    /// The same with `summand`, which is as large as the output, added before the activation.
    fn frozen_conv_sum(x: FloatTensor<Self>, summand: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self>;
    /// The gradient of part `part` of the input, which has `size` pixels, from that of the output `y`.
    fn frozen_conv_gradient(
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        plan: Arc<Plan>,
        part: usize,
        size: [usize; 2],
    ) -> FloatTensor<Self>;
    /// The transpose of a convolution, to `size` pixels, with bias and activation.
    fn frozen_up(x: FloatTensor<Self>, plan: Arc<Plan>, size: [usize; 2]) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output `y`.
    fn frozen_up_gradient(gradient: FloatTensor<Self>, y: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self>;
    /// Max pooling.
    fn frozen_pool(x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output.
    fn frozen_pool_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self>;
    /// A factor and a summand for each channel, and an activation.
    fn frozen_scale(x: FloatTensor<Self>, scale: Arc<Scale>) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output `y`.
    fn frozen_scale_gradient(gradient: FloatTensor<Self>, y: FloatTensor<Self>, scale: Arc<Scale>)
    -> FloatTensor<Self>;
    /// Rows and columns resampled.
    fn frozen_mix(x: FloatTensor<Self>, mix: Arc<Mix>) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output.
    fn frozen_mix_gradient(gradient: FloatTensor<Self>, mix: Arc<Mix>) -> FloatTensor<Self>;
    /// Rows times a matrix, and a bias.
    fn frozen_linear(x: FloatTensor<Self>, product: Arc<Product>) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output.
    fn frozen_linear_gradient(gradient: FloatTensor<Self>, product: Arc<Product>) -> FloatTensor<Self>;
    /// The gradient of what went into an activation from that of the output `y`.
    fn frozen_mask(gradient: FloatTensor<Self>, y: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
}

pub(super) fn shape(x: &FlexTensor) -> [usize; 4] {
    x.shape().dims()
}

/// A new tensor whose values `fill` writes, every one of them.
#[allow(unsafe_code)]
pub(super) fn filled<const N: usize>(shape: [usize; N], fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> FlexTensor {
    let len = shape.iter().product();
    let mut values: Vec<f32> = Vec::with_capacity(len);
    fill(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: `fill` wrote them all.
    unsafe { values.set_len(len) };
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Values of image `n` of a tensor whose images have `len` values.
fn image(x: &FlexTensor, n: usize, len: usize) -> &[f32] {
    &x.storage::<f32>()[n * len..][..len]
}

/// The images of tensors whose channels follow each other; values count where `mask` is within bounds.
pub(super) fn images<'a>(
    tensors: &'a [FlexTensor],
    mask: Option<(&'a FlexTensor, Activation)>,
) -> Images<impl Fn(usize) -> Vec<Part<'a>> + Sync> {
    let [batch, _, height, width] = shape(&tensors[0]);
    let parts = move |n| {
        let part = |x: &'a FlexTensor| {
            let [_, channels, ..] = shape(x);
            let len = channels * height * width;
            let mask = mask.map(|(mask, activation)| (image(mask, n, len), activation));
            Part { values: image(x, n, len), mask, channels }
        };
        tensors.iter().map(part).collect()
    };
    Images { batch, size: [height, width], parts }
}

fn conv(inputs: &[FlexTensor], summand: Option<&FlexTensor>, plan: &Plan) -> FlexTensor {
    let [batch, _, height, width] = shape(&inputs[0]);
    let size = [plan.geometry.output(0, height), plan.geometry.output(1, width)];
    filled([batch, plan.outputs, size[0], size[1]], |out| {
        let add = summand.map(|summand| summand.storage());
        let finish = Finish { bias: plan.bias(), add, activation: plan.activation };
        convolve(&plan.conv(), images(inputs, None), finish, out);
    })
}

fn mixed(x: FlexTensor, mix: &Mix) -> FlexTensor {
    let x = plain(x);
    let [batch, channels, ..] = shape(&x);
    let [_, [rows, columns]] = mix.sizes();
    filled([batch, channels, rows, columns], |out| mix.planes(x.storage(), out))
}

impl Frozen for Flex {
    fn frozen_conv(x: FlexTensor, plan: Arc<Plan>) -> FlexTensor {
        conv(&[plain(x)], None, &plan)
    }

    fn frozen_conv_pair(a: FlexTensor, b: FlexTensor, plan: Arc<Plan>) -> FlexTensor {
        conv(&[plain(a), plain(b)], None, &plan)
    }

    fn frozen_conv_sum(x: FlexTensor, summand: FlexTensor, plan: Arc<Plan>) -> FlexTensor {
        conv(&[plain(x)], Some(&plain(summand)), &plan)
    }

    fn frozen_conv_gradient(
        gradient: FlexTensor,
        y: FlexTensor,
        plan: Arc<Plan>,
        part: usize,
        size: [usize; 2],
    ) -> FlexTensor {
        let (gradient, y) = ([plain(gradient)], plain(y));
        let [batch, ..] = shape(&gradient[0]);
        let first: usize = plan.parts[..part].iter().sum();
        let channels = first..first + plan.parts[part];
        filled([batch, channels.len(), size[0], size[1]], |out| {
            let images = images(&gradient, Some((&y, plan.activation)));
            transpose(&plan.conv(), channels, images, size, Finish::default(), out);
        })
    }

    fn frozen_up(x: FlexTensor, plan: Arc<Plan>, size: [usize; 2]) -> FlexTensor {
        let x = [plain(x)];
        let [batch, ..] = shape(&x[0]);
        filled([batch, plan.channels(), size[0], size[1]], |out| {
            let finish = Finish { bias: plan.bias(), add: None, activation: plan.activation };
            transpose(&plan.conv(), 0..plan.channels(), images(&x, None), size, finish, out);
        })
    }

    fn frozen_up_gradient(gradient: FlexTensor, y: FlexTensor, plan: Arc<Plan>) -> FlexTensor {
        let (gradient, y) = ([plain(gradient)], plain(y));
        let [batch, _, height, width] = shape(&gradient[0]);
        let size = [plan.geometry.output(0, height), plan.geometry.output(1, width)];
        filled([batch, plan.outputs, size[0], size[1]], |out| {
            convolve(&plan.conv(), images(&gradient, Some((&y, plan.activation))), Finish::default(), out);
        })
    }

    fn frozen_pool(x: FlexTensor, pool: Pool) -> FlexTensor {
        let x = plain(x);
        let [batch, channels, height, width] = shape(&x);
        let [rows, columns] = pool.output;
        filled([batch, channels, rows, columns], |out| {
            let size = [height, width];
            if pool.is_halving(size) {
                pool::forward(x.storage(), size, out);
            } else {
                pool::forward_any(&pool, x.storage(), size, out);
            }
        })
    }

    fn frozen_pool_gradient(gradient: FlexTensor, x: FlexTensor, pool: Pool) -> FlexTensor {
        let (gradient, x) = (plain(gradient), plain(x));
        let [_, _, height, width] = shape(&x);
        filled(shape(&x), |out| {
            let size = [height, width];
            if pool.is_halving(size) {
                pool::backward(x.storage(), gradient.storage(), size, out);
            } else {
                pool::backward_any(&pool, x.storage(), gradient.storage(), size, out);
            }
        })
    }

    fn frozen_scale(x: FlexTensor, scale: Arc<Scale>) -> FlexTensor {
        let x = plain(x);
        let [_, _, height, width] = shape(&x);
        filled(shape(&x), |out| scale::forward(&scale, x.storage(), height * width, out))
    }

    fn frozen_scale_gradient(gradient: FlexTensor, y: FlexTensor, scale: Arc<Scale>) -> FlexTensor {
        let (gradient, y) = (plain(gradient), plain(y));
        let [_, _, height, width] = shape(&y);
        filled(shape(&y), |out| scale::backward(&scale, gradient.storage(), y.storage(), height * width, out))
    }

    fn frozen_mix(x: FlexTensor, mix: Arc<Mix>) -> FlexTensor {
        mixed(x, &mix)
    }

    fn frozen_mix_gradient(gradient: FlexTensor, mix: Arc<Mix>) -> FlexTensor {
        mixed(gradient, mix.transposed())
    }

    fn frozen_linear(x: FlexTensor, product: Arc<Product>) -> FlexTensor {
        let x = plain(x);
        let ([rows, inputs], [expected, outputs]) = (x.shape().dims(), product.sizes());
        assert_eq!(inputs, expected);
        filled([rows, outputs], |out| product.forward(&x.storage()[..rows * inputs], out))
    }

    fn frozen_linear_gradient(gradient: FlexTensor, product: Arc<Product>) -> FlexTensor {
        let gradient = plain(gradient);
        let ([rows, outputs], [inputs, _]) = (gradient.shape().dims(), product.sizes());
        filled([rows, inputs], |out| product.backward(&gradient.storage()[..rows * outputs], out))
    }

    fn frozen_mask(gradient: FlexTensor, y: FlexTensor, activation: Activation) -> FlexTensor {
        let (gradient, y) = (plain(gradient), plain(y));
        filled(shape(&y), |out| scale::masked(activation, gradient.storage(), y.storage(), out))
    }
}
